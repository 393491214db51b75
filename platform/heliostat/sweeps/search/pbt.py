"""Scheduler ``pbt``: a population that is trained and selected in turn.

All members are trained for one segment; then each of the worst quarter continues from
the state of one of the best quarter, with perturbed values (``selection``).

A segment is an ordinary run whose parent is the segment that it continues from, so any
lineage replays.  The decisions follow from the results of the segments and from
``search_seed`` alone, so a sweep that was killed repeats them.  Ray Tune's scheduler is
not used, because it decides while trials run, in the order in which they report.

Reference: Jaderberg et al., arXiv:1711.09846, section 4 and appendix A.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from heliostat import config
from heliostat.driver.parent import Parent, parent_of
from heliostat.driver.placement import Placement
from heliostat.errors import RequestError
from heliostat.results.goal import Goal
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell, make_cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Plan, field_value
from heliostat.sweeps.search import CellStream, Extras, WrappedSearch
from heliostat.sweeps.search.selection import explore, select_sources

EVENT = "bred"

MEMBER, GENERATION = "member", "generation"
"""The dims of a population."""

Segments = dict[tuple[int, int], dict[str, Any]]
"""Events by member and generation."""


class PBT(WrappedSearch):
    """A population whose first values the inner search draws.

    More steps are more generations, so the number of members is part of the identity,
    and the number of steps is not.
    """

    depends_on = ("metrics", "schedule", "trials")

    def check(self, plan: Plan) -> None:
        super().check(plan)
        grace, steps = _grace(plan), plan.length
        if not self.inner.draws or self.inner.depends_on or plan.trials < 2:
            raise RequestError(
                "scheduler pbt: the first values of its members are drawn, by search "
                "random or sobol, and trials, at least 2, says how many there are"
            )
        if SEED in plan.axes:
            raise RequestError("over seed: a population is one; sweep it for each seed")
        if steps % grace:
            raise RequestError(
                f"scheduler pbt: {steps} steps are no multiple of the {grace} (grace) "
                "after which members are compared"
            )

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        segments = recorded_segments(journal).values()
        return [_recorded_cell(plan, journal, event) for event in segments]

    def cells(self, plan: Plan, journal: Journal, placement: Placement) -> CellStream:
        first = [cell.values for cell in self.inner.recorded(plan, journal)]
        return Generations(plan, journal, first)

    def preview_cells(
        self, plan: Plan, journal: Journal, placement: Placement
    ) -> CellStream:
        return self.cells(plan, journal, placement)

    def goals(
        self, plan: Plan, journal: Journal, until: str | None
    ) -> Callable[[Cell], Goal]:
        return lambda cell: Goal(cell.task, _grace(plan))

    def dims(self, plan: Plan) -> tuple[str, ...]:
        return MEMBER, GENERATION

    def extras(
        self,
        plan: Plan,
        journal: Journal,
        cells: Sequence[Cell],
        outcomes: Mapping[str, CellOutcome],
    ) -> Extras:
        members = {cell.id: cell.place[0] for cell in cells}
        parents = {cell.id: cell.parent for cell in cells}
        sources = {r: members.get(p.run, -1) if p else -1 for r, p in parents.items()}
        return Extras(labels={"source": sources})

    def chart(self, fields: int) -> str:
        return "lineage"


class Generations:
    """Stream of the cells of all members, one generation after another.

    Args:
        first: the values of each member in the first generation.
    """

    def __init__(
        self, plan: Plan, journal: Journal, first: Sequence[Mapping[str, Any]]
    ) -> None:
        self.plan, self._journal, self._first = plan, journal, first
        self.generations = plan.length // _grace(plan)
        self.all: list[Cell] = []
        self._active: list[Cell] = []  # the generation under way
        self._outcomes: dict[str, CellOutcome] = {}  # by run
        self._recorded = recorded_segments(journal)

    @property
    def runs(self) -> int:
        return self.plan.trials * self.generations

    @property
    def ending(self) -> str:
        """Reason why there are fewer generations than planned; else empty."""
        outcomes = [self._outcomes.get(cell.spec.id) for cell in self._active]
        ended = all(o is not None and o.state != "stopped" for o in outcomes)
        if not ended or len(self.all) >= self.runs or self._ready():
            return ""
        generation = len(self.all) // self.plan.trials - 1
        name = self.plan.metrics[0].name
        return f"no member of generation {generation} has a finite '{name}'"

    def ask(self) -> list[Cell]:
        """Return the next generation; none while no member can be continued."""
        generation = len(self.all) // self.plan.trials
        if generation == self.generations or not self._ready():
            return []
        members = self._next(generation) if generation else self._begin()
        self._active = [
            self._cell(member, generation, values, source)
            for member, (values, source) in enumerate(members)
        ]
        self.all += self._active
        return self._active

    def tell(self, cell: Cell, outcome: CellOutcome) -> None:
        self._outcomes[cell.id] = outcome

    def _ready(self) -> bool:
        """Return True if the generation has ended, and a member has a finite number."""
        outcomes = [self._outcomes.get(cell.id) for cell in self._active]
        if any(o is None or o.state == "stopped" for o in outcomes):
            return False
        return not outcomes or any(map(math.isfinite, map(self._loss, self._active)))

    def _begin(self) -> list[tuple[Mapping[str, Any], int]]:
        return [(values, member) for member, values in enumerate(self._first)]

    def _next(self, generation: int) -> list[tuple[Mapping[str, Any], int]]:
        """Select the values of each member, and the member that it continues from."""
        losses = [self._loss(cell) for cell in self._active]
        seed, members = self.plan.search_seed, []
        for member, source in enumerate(select_sources(losses, [seed, generation])):
            values = self._active[source].values
            if source != member:
                rng = np.random.default_rng([seed, generation, member])
                values = explore(type(self.plan.task), self.plan.axes, values, rng)
            members.append((values, source))
        return members

    def _loss(self, cell: Cell) -> float:
        """Return the number of a member, the smaller the better; NaN for none."""
        metric, estimates = self.plan.metrics[0], self._outcomes[cell.id].estimates
        value = estimates[metric.name].value if metric.name in estimates else math.nan
        return value if metric.mode == "min" else -value

    def _cell(
        self, member: int, generation: int, values: Mapping[str, Any], source: int
    ) -> Cell:
        parent = self._parent(source) if generation else None
        cell = segment_cell(self.plan, member, generation, values, parent)
        self._record(cell, source)
        return cell

    def _parent(self, source: int) -> Parent | None:
        cell = self._active[source]
        run = self._outcomes[cell.id].run
        return parent_of(cell.task, self.plan.x64, run) if run else None

    def _record(self, cell: Cell, source: int) -> None:
        """Write a segment into the journal, unless it is there as it is."""
        member, generation = cell.place
        event = {
            "member": member,
            "generation": generation,
            "source": source,
            "values": {name: config.json_value(v) for name, v in cell.values.items()},
            "parent": cell.parent and cell.parent.identity,
        }
        if not event.items() <= self._recorded.get((member, generation), {}).items():
            self._journal.append(EVENT, **event)
            self._recorded = _until(self._recorded, generation)


def segment_cell(
    plan: Plan,
    member: int,
    generation: int,
    values: Mapping[str, Any],
    parent: Parent | None,
) -> Cell:
    """Build the cell of one segment of a member, with a seed of its own."""
    text = f"{plan.seed}|{_grace(plan)}|{member}|{generation}".encode()
    seed = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
    return make_cell(plan, (member, generation), values, seed, parent)


def recorded_segments(journal: Journal) -> Segments:
    """Return the last event of each segment, by member and generation.

    A segment that had failed may succeed later: its generation is recorded again then,
    and the later generations are void.
    """
    segments: Segments = {}
    for event in journal.events():
        if event["event"] == EVENT:
            segments = _until(segments, event["generation"])
            segments[event["member"], event["generation"]] = event
    return segments


def _until(segments: Segments, generation: int) -> Segments:
    return {place: e for place, e in segments.items() if place[1] <= generation}


def _recorded_cell(plan: Plan, journal: Journal, event: Mapping[str, Any]) -> Cell:
    values = {name: field_value(value) for name, value in event["values"].items()}
    stored, parent = event["parent"], None
    if stored:
        path = journal.store / plan.identity["task"] / stored["run"]
        parent = Parent(stored["run"], stored["step"], tuple(stored["states"]), path)
    return segment_cell(plan, event["member"], event["generation"], values, parent)


def _grace(plan: Plan) -> int:
    assert plan.schedule is not None
    return plan.schedule.grace


SCHEDULERS = {"pbt": PBT}
