"""What a sweep was asked for: its identity, and the cells that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from heliostat import config
from heliostat.config import canonical_json
from heliostat.errors import RequestError, did_you_mean
from heliostat.sweeps import cells
from heliostat.sweeps.axes import SEED, Axis, Range
from heliostat.sweeps.cells import Cell
from heliostat.task import Task

SEARCHES = {"random": cells.random_shares, "sobol": cells.sobol_shares}
"""Ways to draw all trials at once; ``grid`` takes every combination."""


class Plan(NamedTuple):
    """A sweep as it was asked for; how many trials and steps is not its identity."""

    task: Task
    axes: Mapping[str, Axis]
    search: str
    trials: int
    seed: int  # of every cell, where seeds are no axis
    search_seed: int
    x64: bool

    @property
    def drawn(self) -> bool:
        return self.search != "grid"

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it this sweep, as JSON values."""
        spec = dict(config.specify(self.task, self.seed, self.x64).identity)
        fields = {n: v for n, v in spec.pop("fields").items() if n not in self.axes}
        spec.pop("seed")
        over = {name: _plain(axis) for name, axis in self.axes.items()}
        how = {"search": self.search, "search_seed": self.search_seed}
        seed = {} if SEED in self.axes else {"seed": self.seed}
        return {**spec, **seed, **how, "fields": fields, "over": over}

    @property
    def id(self) -> str:
        return hashlib.sha256(canonical_json(self.identity)).hexdigest()[:16]

    def cells(self) -> list[Cell]:
        """All its cells.

        Raises:
            RequestError: if the values of one do not go together.
        """
        if not self.drawn:
            return cells.of_grid(self.task, self.axes, self.seed, self.x64)
        names = [name for name in self.axes if name != SEED]
        shares = SEARCHES[self.search](self.trials, len(names), self.search_seed)
        return cells.of_draws(self.task, self.axes, shares, self.seed, self.x64)


def check_search(search: str, trials: int | None, axes: Sequence[str]) -> None:
    """
    Raises:
        RequestError: for a search that is none, or one without a number of trials.
    """
    known = ["grid", *SEARCHES]
    if search not in known:
        hint = did_you_mean(search, known) or f"; there are {', '.join(known)}"
        raise RequestError(f"search '{search}': there is none of that name{hint}")
    if search == "grid":
        if trials is not None:
            raise RequestError(
                f"trials {trials}: a grid has every combination; for so many draws "
                "give search random or sobol"
            )
        return
    if trials is None or isinstance(trials, bool) or trials < 1:
        raise RequestError(f"search {search}: expected trials of at least 1")
    if not set(axes) - {SEED}:
        raise RequestError(f"search {search}: there is nothing to draw but seeds")


def _plain(axis: Axis) -> Any:
    if isinstance(axis, Range):
        return {"low": axis.low, "high": axis.high, "log": axis.log}
    return config.plain(axis)
