"""Games by name: losses of the players, a start, and the equilibrium if it is known."""

from __future__ import annotations

from heliostat_tasks.games.problems.cifar import CifarGame
from heliostat_tasks.games.problems.digits import DigitGame
from heliostat_tasks.games.problems.linear import Bilinear, Mixed, QuadraticGame
from heliostat_tasks.games.problems.mixture import Mixture
from heliostat_tasks.games.problems.problem import Game
from heliostat_tasks.games.problems.small import Cycle, Dirac, Market

PROBLEMS: dict[str, type[Game]] = {
    "bilinear": Bilinear,
    "mixed": Mixed,
    "quadratic": QuadraticGame,
    "dirac": Dirac,
    "cycle": Cycle,
    "market": Market,
    "mixture": Mixture,
    "digits": DigitGame,
    "cifar": CifarGame,
}
