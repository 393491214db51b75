"""Cells that a searcher proposes, from what the trials before them found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from heliostat import config
from heliostat.sweeps.axes import SEED, Range, is_whole
from heliostat.sweeps.cells import Cell, of_trial
from heliostat.sweeps.ledger import Ledger
from heliostat.sweeps.plan import Plan
from heliostat.sweeps.tuning import Searcher


class Searched:
    """The cells of trials, each with every seed; a trial is told as their mean.

    What the ledger says of earlier trials is gone through first: they are proposed as
    they were, and the searcher knows what they found in the order in which it did.
    """

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        self.plan, self._ledger = plan, ledger
        self.all: list[Cell] = []
        space = {name: axis for name, axis in plan.axes.items() if name != SEED}
        whole = [n for n in space if _ranges_over_whole(plan, n)]
        self._searcher = Searcher(
            plan.search, space, plan.metrics, whole, plan.search_seed
        )
        self._open: dict[int, dict[str, Any]] = {}  # run id -> headline, by trial
        self._told: set[int] = set()
        self._waiting = self._recorded()

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
            self._ledger.tell("proposed", trial=trial, values=plain)
        plan = self.plan
        found = list(
            of_trial(plan.task, trial, values, plan.seeds, plan.seed, plan.x64)
        )
        self._open[trial] = {cell.spec.id: None for cell in found}
        self.all += found
        return found

    def ended(self, cell: Cell, outcome: Any) -> None:
        """Once all seeds of a trial have ended, the searcher is told."""
        trial = cell.place[0]
        found = self._open[trial]
        found[cell.spec.id] = outcome.run.headline if outcome.run else {}
        if trial in self._told or None in found.values():
            return
        values = {m.name: _mean(found.values(), m.name) for m in self.plan.metrics}
        self._told.add(trial)
        self._searcher.tell(trial, values)
        plain = {n: v if math.isfinite(v) else None for n, v in values.items()}
        self._ledger.tell("told", trial=trial, values=plain)

    def _recorded(self) -> list[dict[str, Any]]:
        """The trials of an earlier sweep, which the searcher goes through again."""
        trials: list[dict[str, Any]] = []
        for event in self._ledger.events():
            if event["event"] == "proposed" and event["trial"] == len(trials):
                values = {n: _value(v) for n, v in event["values"].items()}
                self._searcher.repeat(len(trials), values)
                trials.append(values)
            if event["event"] == "told" and event["trial"] < len(trials):
                told = event["values"].items()
                found = {n: math.nan if v is None else v for n, v in told}
                self._searcher.tell(event["trial"], found)
                self._told.add(event["trial"])
        return trials


def _ranges_over_whole(plan: Plan, name: str) -> bool:
    ranged = isinstance(plan.axes[name], Range)
    return ranged and is_whole(type(plan.task), name)


def _value(value: Any) -> Any:
    return tuple(map(_value, value)) if isinstance(value, list) else value


def _mean(headlines: Any, name: str) -> float:
    found: list[Mapping[str, Any]] = list(headlines)
    values = [float(h[name].value) if name in h else math.nan for h in found]
    return sum(values) / len(values)
