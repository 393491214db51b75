"""Problems by name: an inner loss, an outer loss, and a start for each variable."""

from __future__ import annotations

from heliostat_tasks.bilevel.problems.antidistillation import Antidistillation
from heliostat_tasks.bilevel.problems.augment import Augment
from heliostat_tasks.bilevel.problems.digits import Digits
from heliostat_tasks.bilevel.problems.moons import Moons
from heliostat_tasks.bilevel.problems.pair import Pair
from heliostat_tasks.bilevel.problems.problem import Problem
from heliostat_tasks.bilevel.problems.quadratic import Quadratic

PROBLEMS: dict[str, type[Problem]] = {
    "quadratic": Quadratic,
    "pair": Pair,
    "moons": Moons,
    "digits": Digits,
    "augment": Augment,
    "antidistillation": Antidistillation,
}
