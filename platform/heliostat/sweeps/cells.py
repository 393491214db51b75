"""The cells of a sweep: which runs it consists of, and where each lies in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from heliostat import config
from heliostat.driver.parent import Parent
from heliostat.errors import RequestError
from heliostat.sweeps.axes import SEED, Axis, Range, is_whole
from heliostat.task import Task

TRIAL = "trial"
"""The dim of cells whose values were drawn."""

MEMBER, GENERATION = "member", "generation"
"""The dims of a population."""


class Cell:
    """One run of a sweep.

    Args:
        task: with the cell's values.
        place: index along each dim of the sweep.
        values: what the cell has on each axis.
        seed: its run's, also where seeds are no axis.
        parent: whose state its run begins from, if it is another one's.
    """

    def __init__(
        self,
        task: Task,
        place: tuple[int, ...],
        values: Mapping[str, Any],
        seed: int,
        x64: bool,
        parent: Parent | None = None,
    ) -> None:
        self.task, self.place, self.values = task, place, dict(values)
        self.seed, self.x64, self.parent = seed, x64, parent

    @cached_property
    def spec(self) -> config.Spec:
        parent = self.parent and self.parent.identity
        return config.specify(self.task, self.seed, self.x64, parent)

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.values.items())


class Listed:
    """Cells that are all known at the start; each run once, however many it is."""

    def __init__(self, cells: list[Cell]) -> None:
        self.all = cells
        self._once = {cell.spec.id: cell for cell in cells}
        self._rest = list(self._once.values())

    @property
    def runs(self) -> int:
        return len(self._once)

    def next(self) -> list[Cell]:
        """All of them, the first time."""
        found, self._rest = self._rest, []
        return found

    def ended(self, cell: Cell, outcome: Any) -> None:
        """Nothing follows from it."""


def of_grid(task: Task, axes: Mapping[str, Axis], seed: int, x64: bool) -> list[Cell]:
    """Every combination of the listed values; the last axis runs fastest."""
    lists = [list(enumerate(_values(axis))) for axis in axes.values()]
    cells = []
    for chosen in itertools.product(*lists):
        place, values = zip(*chosen, strict=True)
        cells.append(
            make_cell(task, place, dict(zip(axes, values, strict=True)), seed, x64)
        )
    return cells


def of_draws(
    task: Task, axes: Mapping[str, Axis], shares: np.ndarray, seed: int, x64: bool
) -> list[Cell]:
    """Trials at shares of the way along each axis, crossed with the seeds.

    Args:
        shares: (trials, axes but for the seed) in [0, 1).
    """
    drawn = {name: axis for name, axis in axes.items() if name != SEED}
    proposed = [
        {
            name: value_at(type(task), name, axis, share)
            for (name, axis), share in zip(drawn.items(), row, strict=True)
        }
        for row in shares
    ]
    seeds = _values(axes[SEED]) if SEED in axes else ()
    return of_trials(task, proposed, seeds, seed, x64)


def of_trials(
    task: Task,
    proposed: Sequence[Mapping[str, Any]],
    seeds: tuple[Any, ...],
    seed: int,
    x64: bool,
) -> list[Cell]:
    """The cells of trials, given the values of each."""
    return [
        cell
        for trial, values in enumerate(proposed)
        for cell in of_trial(task, trial, values, seeds, seed, x64)
    ]


def of_trial(
    task: Task,
    trial: int,
    values: Mapping[str, Any],
    seeds: tuple[Any, ...],
    seed: int,
    x64: bool,
) -> Iterator[Cell]:
    """The cells of one trial: one, or one for each seed."""
    if not seeds:
        yield make_cell(task, (trial,), values, seed, x64)
    for index, one in enumerate(seeds):
        yield make_cell(task, (trial, index), {**values, SEED: one}, seed, x64)


def make_cell(
    task: Task,
    place: tuple[int, ...],
    values: Mapping[str, Any],
    seed: int,
    x64: bool,
    parent: Parent | None = None,
) -> Cell:
    """A cell with its task, checked as all tasks are.

    Raises:
        RequestError: if the values do not go together.
    """
    fields = {name: value for name, value in values.items() if name != SEED}
    try:
        made = config.changed(task, fields)
    except RequestError as error:
        told = " ".join(f"{name}={value}" for name, value in fields.items())
        raise RequestError(f"over {told}: {error}") from error
    return Cell(made, place, values, values.get(SEED, seed), x64, parent)


def value_at(task: type[Task], name: str, axis: Axis, share: float) -> Any:
    """The value at a share of the way along an axis."""
    if isinstance(axis, Range):
        return axis.at(share, is_whole(task, name))
    return axis[int(share * len(axis))]


def random_shares(count: int, axes: int, seed: int) -> np.ndarray:
    """Independent draws, (count, axes): more trials begin with the same ones."""
    rows = [np.random.default_rng([seed, row]).random(axes) for row in range(count)]
    return np.array(rows).reshape(count, axes)


def sobol_shares(count: int, axes: int, seed: int) -> np.ndarray:
    """A scrambled Sobol sequence, (count, axes): more trials begin with the same ones.

    Source: Owen, J. Complexity 14, 466 (1998), by SciPy.
    """
    from scipy.stats.qmc import Sobol

    power = max(0, int(np.ceil(np.log2(count))))
    return Sobol(axes, rng=np.random.default_rng(seed)).random_base2(power)[:count]


def _values(axis: Axis) -> tuple[Any, ...]:
    assert not isinstance(axis, Range)
    return axis
