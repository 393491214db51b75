"""Cells of a sweep: its runs, each with its place along the dims of the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from heliostat import config
from heliostat.driver.parent import Parent
from heliostat.errors import RequestError
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.plan import Plan
from heliostat.task import Task

TRIAL = "trial"
"""The dim of cells whose values are drawn."""


class Cell:
    """One run of a sweep.

    Args:
        task: with the cell's values.
        place: index along each dim of the sweep.
        values: values of the cell, by axis.
        seed: seed of its run, also where seeds are no axis.
        parent: parent of its run, if the run starts from the state of another.
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

    @cached_property
    def id(self) -> str:
        """The id of its run."""
        return self.spec.id

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.values.items())


def make_cell(
    plan: Plan,
    place: tuple[int, ...],
    values: Mapping[str, Any],
    seed: int | None = None,
    parent: Parent | None = None,
) -> Cell:
    """Build a cell with its task.

    Args:
        seed: seed of its run, if neither the values nor the plan decide on it.

    Raises:
        RequestError: if the task refuses the values.
    """
    fields = {name: value for name, value in values.items() if name != SEED}
    try:
        task = config.replace_fields(plan.task, fields)
    except RequestError as error:
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        raise RequestError(f"over {text}: {error}") from error
    own = values.get(SEED, plan.seed) if seed is None else seed
    return Cell(task, place, values, own, plan.x64, parent)


def trial_cells(plan: Plan, trial: int, values: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of one trial: one, or one for each seed.

    Raises:
        RequestError: if the task refuses the values.
    """
    if not plan.seeds:
        return [make_cell(plan, (trial,), values)]
    return [
        make_cell(plan, (trial, index), {**values, SEED: seed})
        for index, seed in enumerate(plan.seeds)
    ]
