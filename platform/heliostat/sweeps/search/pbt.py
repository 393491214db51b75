"""Cells of a population that is trained and bred in turn: scheduler ``pbt``.

Members are trained for one segment, all of them; then each of the worst quarter goes on
from the state of one of the best quarter, with its values perturbed (``breeding``).

A segment is an ordinary run whose parent is the segment that it goes on from, so any
lineage replays, and a sweep that was killed takes the same decisions again: they follow
from what segments found and from ``search_seed`` alone.  Ray Tune's own scheduler
decides while trials are running, in the order in which they happen to report, and was
not taken for that reason.

Reference: Jaderberg et al., arXiv:1711.09846, section 4 and appendix A.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from heliostat import config
from heliostat.driver.parent import Parent, parent_of
from heliostat.errors import RequestError
from heliostat.sweeps import cells
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import Journal, value_of
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import SEARCHES, Plan
from heliostat.sweeps.search.selection import explore, select_sources

EVENT = "bred"

Bred = dict[tuple[int, int], dict[str, Any]]
"""Events by member and generation."""


def check(plan: Plan) -> None:
    """
    Raises:
        RequestError: for a population that cannot be bred, or whose segments are no
            whole part of its steps.
    """
    assert plan.schedule is not None
    grace, steps = plan.schedule.grace, plan.length
    if plan.search not in SEARCHES or plan.trials < 2:
        raise RequestError(
            "scheduler pbt: the first values of its members are drawn, by search "
            f"{' or '.join(SEARCHES)}, and trials, at least 2, says how many there are"
        )
    if SEED in plan.axes:
        raise RequestError("over seed: a population is one; sweep it for each seed")
    if steps % grace:
        raise RequestError(
            f"scheduler pbt: {steps} steps are no multiple of the {grace} (grace) "
            "after which members are compared"
        )


class Population:
    """The cells of all members, one generation after another."""

    def __init__(self, plan: Plan, ledger: Journal) -> None:
        self.plan, self._ledger = plan, ledger
        self.generations = generations(plan)
        self.all: list[Cell] = []
        self._last: list[Cell] = []  # the generation under way
        self._found: dict[str, CellOutcome] = {}  # by the run's id
        self._told = bred(ledger)

    @property
    def runs(self) -> int:
        return self.plan.trials * self.generations

    def next(self) -> list[Cell]:
        """The next generation; none while nobody is there to go on from."""
        begun = len(self.all) // self.plan.trials
        if begun == self.generations or not self._ready():
            return []
        values = self._bred(begun) if begun else _first(self.plan)
        self._last = [self._cell(m, begun, *one) for m, one in enumerate(values)]
        self.all += self._last
        return self._last

    def ended(self, cell: Cell, outcome: CellOutcome) -> None:
        self._found[cell.spec.id] = outcome

    def _ready(self) -> bool:
        """Whether the last generation has ended, and a member has a finite number."""
        ended = [self._found.get(cell.spec.id) for cell in self._last]
        if any(one is None or one.state == "stopped" for one in ended):
            return False
        return not ended or any(map(math.isfinite, map(self._value, self._last)))

    def _bred(self, generation: int) -> list[tuple[Mapping[str, Any], int]]:
        """Values of each member, and the member that it goes on from."""
        found = [self._value(cell) for cell in self._last]
        seed, chosen = self.plan.search_seed, []
        for member, source in enumerate(select_sources(found, [seed, generation])):
            values = self._last[source].values
            if source != member:
                rng = np.random.default_rng([seed, generation, member])
                cls, axes = type(self.plan.task), self.plan.axes
                values = explore(cls, axes, values, rng)
            chosen.append((values, source))
        return chosen

    def _value(self, cell: Cell) -> float:
        """What a member found, the less the better; NaN for nothing."""
        metric, found = self.plan.metrics[0], self._found[cell.spec.id].estimates
        value = found[metric.name].value if metric.name in found else math.nan
        return value if metric.mode == "min" else -value

    def _cell(
        self, member: int, generation: int, values: Mapping[str, Any], source: int
    ) -> Cell:
        plan, parent = self.plan, None
        if generation:
            before = self._last[source]
            run = self._found[before.spec.id].run
            parent = parent_of(before.task, plan.x64, run) if run else None
        made = of_member(plan, member, generation, values, parent)
        about = {
            "member": member,
            "generation": generation,
            "source": source,
            "values": {name: config.plain(value) for name, value in values.items()},
            "parent": parent and parent.identity,
        }
        if not about.items() <= self._told.get((member, generation), {}).items():
            self._ledger.append(EVENT, **about)
            self._told = _until(self._told, generation)
        return made


def of_member(
    plan: Plan,
    member: int,
    generation: int,
    values: Mapping[str, Any],
    parent: Parent | None,
) -> Cell:
    """One segment of one member, with a seed of its own."""
    assert plan.schedule is not None
    text = f"{plan.seed}|{plan.schedule.grace}|{member}|{generation}".encode()
    seed = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1
    place = (member, generation)
    return cells.make_cell(plan.task, place, values, seed, plan.x64, parent)


def bred(ledger: Journal) -> Bred:
    """What is written down of each segment, by member and generation: the last word.

    One that had failed may have been done later: then it is told again what its
    generation became, and what had followed from it is void.
    """
    found: Bred = {}
    for event in ledger.events():
        if event["event"] == EVENT:
            found = _until(found, event["generation"])
            found[event["member"], event["generation"]] = event
    return found


def _until(told: Bred, generation: int) -> Bred:
    return {place: one for place, one in told.items() if place[1] <= generation}


def generations(plan: Plan) -> int:
    """Segments of a member."""
    assert plan.schedule is not None
    return plan.length // plan.schedule.grace


def recorded(plan: Plan, ledger: Journal, store: Path) -> list[Cell]:
    """All segments that were begun, as they were."""
    folder = store / plan.identity["task"]
    found = []
    for event in bred(ledger).values():
        values = {name: value_of(value) for name, value in event["values"].items()}
        told = event["parent"]
        parent = told and Parent(
            told["run"], told["step"], tuple(told["states"]), folder / told["run"]
        )
        found.append(
            of_member(plan, event["member"], event["generation"], values, parent)
        )
    return found


def _first(plan: Plan) -> list[tuple[Mapping[str, Any], int]]:
    """The values that members begin with, as its search draws them."""
    return [(cell.values, m) for m, cell in enumerate(plan.cells())]
