"""Cells that a searcher proposes, from what the trials before them found."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from heliostat import config
from heliostat.errors import RequestError
from heliostat.sweeps.axes import SEED, Range, is_whole
from heliostat.sweeps.cells import Cell, of_trial
from heliostat.sweeps.journal import Journal, value_of
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.search.optuna import Searcher


class Searched:
    """The cells of trials, each with every seed; a trial is told as their mean.

    What the ledger says of earlier trials is gone through first: they are proposed as
    they were, and the searcher knows what they found in the order in which it did.
    """

    def __init__(self, plan: Plan, ledger: Journal) -> None:
        self.plan, self._ledger = plan, ledger
        self.all: list[Cell] = []
        self._searcher = self._made()
        self._open: dict[int, dict[str, Any]] = {}  # run id -> numbers, by trial
        self._told: set[int] = set()
        self._waiting = self._recorded()

    @property
    def names(self) -> list[str]:
        """The numbers that the searcher is told of a trial."""
        return [metric.name for metric in self.plan.metrics]

    @property
    def runs(self) -> int:
        return self.plan.trials * max(1, len(self.plan.seeds))

    def next(self) -> list[Cell]:
        """The cells of one more trial."""
        trial = len(self._open)
        if trial >= self.plan.trials:
            return []
        if trial < len(self._waiting):
            values = self._waiting[trial]
        else:
            values = self._searcher.propose(trial)
            plain = {name: config.plain(value) for name, value in values.items()}
            self._ledger.append("proposed", trial=trial, values=plain)
        plan = self.plan
        found = list(
            of_trial(plan.task, trial, values, plan.seeds, plan.seed, plan.x64)
        )
        self._open[trial] = {cell.spec.id: None for cell in found}
        self.all += found
        return found

    def ended(self, cell: Cell, outcome: CellOutcome) -> None:
        """Once all seeds of a trial have ended, the searcher is told.

        A trial that was stopped is open: the same sweep goes on with it.
        """
        trial = cell.place[0]
        if trial in self._told or outcome.state == "stopped":
            return
        found = self._open[trial]
        found[cell.spec.id] = self._found(cell, outcome)
        if None in found.values():
            return
        values = {name: _mean(found.values(), name) for name in self.names}
        self._told.add(trial)
        self._searcher.tell(trial, values)
        plain = {n: v if math.isfinite(v) else None for n, v in values.items()}
        self._ledger.append("told", trial=trial, values=plain)

    def _made(self) -> Any:
        """Who proposes."""
        plan = self.plan
        space = {name: axis for name, axis in plan.axes.items() if name != SEED}
        whole = [n for n in space if _ranges_over_whole(plan, n)]
        return Searcher(plan.search, space, plan.metrics, whole, plan.search_seed)

    def _found(self, cell: Cell, outcome: CellOutcome) -> dict[str, float]:
        """The numbers of one run; those that it does not have are missing."""
        found = outcome.estimates
        return {n: float(found[n].value) for n in self.names if n in found}

    def _recorded(self) -> list[dict[str, Any]]:
        """The trials of an earlier sweep, which the searcher goes through again."""
        trials: list[dict[str, Any]] = []
        for event in self._ledger.events():
            if event["event"] == "proposed" and event["trial"] == len(trials):
                values = {n: value_of(v) for n, v in event["values"].items()}
                self._repeat(len(trials), values)
                trials.append(values)
            if event["event"] == "told" and event["trial"] < len(trials):
                told = event["values"].items()
                found = {n: math.nan if v is None else v for n, v in told}
                self._searcher.tell(event["trial"], found)
                self._told.add(event["trial"])
        return trials

    def _repeat(self, trial: int, values: Mapping[str, Any]) -> None:
        """Let the searcher propose what is recorded of a trial.

        Raises:
            RequestError: if it proposes something else now.
        """
        if (found := self._searcher.propose(trial)) != dict(values):
            raise RequestError(
                f"trial {trial} was {dict(values)}, the searcher proposes {found} now: "
                "it has another version; give another search_seed, what was computed "
                "is reused where it is met again"
            )


def _ranges_over_whole(plan: Plan, name: str) -> bool:
    ranged = isinstance(plan.axes[name], Range)
    return ranged and is_whole(type(plan.task), name)


def _mean(found: Collection[Mapping[str, float]], name: str) -> float:
    values = [one.get(name, math.nan) for one in found]
    return sum(values) / len(values)
