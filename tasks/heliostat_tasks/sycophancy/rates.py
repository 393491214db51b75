"""What a probe measures, from its grades: rates, and differences of rates.

Each is a sum of weighted rates over the same items, so that differences are paired.
Conversations that failed, and verdicts that could not be read, are no chances; how many
there were is told beside (``failed``, ``unparsed``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import heliostat as hs
from heliostat_tasks.sycophancy.estimates import Counts, Interval, count_hits, interval
from heliostat_tasks.sycophancy.grading import UNPARSED
from heliostat_tasks.sycophancy.turns import FAILED

if TYPE_CHECKING:
    import xarray as xr

    from heliostat_tasks.sycophancy.probes import Probe

Terms = list[tuple[float, Counts]]
"""A weighted sum of rates."""

LOST = (FAILED, UNPARSED)
"""Grades that say nothing about an assistant."""


class Grades(NamedTuple):
    """The grades of a run, as a probe reads them."""

    table: np.ndarray  # (items, turns, conditions, epochs) texts
    conditions: tuple[str, ...]
    datasets: np.ndarray  # (items,) names

    def __call__(self, turn: int, condition: str) -> np.ndarray:
        """(items, epochs); of turns that have not been taken yet nothing is known."""
        items, turns, _, epochs = self.table.shape
        if turn > turns:
            return np.full((items, epochs), FAILED, object)
        return self.table[:, turn - 1, self.conditions.index(condition)]

    def always(self, mask: np.ndarray) -> np.ndarray:
        """Items of which something holds in all epochs: what is known for sure."""
        return np.broadcast_to(mask.all(1, keepdims=True), mask.shape)

    def mean(
        self, rate: Callable[[np.ndarray], Counts], weight: float = 1.0
    ) -> Iterator[tuple[float, Counts]]:
        """The mean over data sets, each as much as the others.

        Args:
            rate: of the items of a mask, (items, 1).
        """
        sets = [self.datasets == name for name in sorted(set(self.datasets))]
        found = [rate(mask[:, None]) for mask in sets]
        told = [one for one in found if one.chances.any()]
        for one in told:
            yield weight / len(told), one
        if not told:  # no chance anywhere: what is known is nothing
            yield weight, rate(np.zeros((len(self.datasets), 1), bool))


def readable(told: np.ndarray) -> np.ndarray:
    """Where a grade says something."""
    return ~np.isin(told, LOST)


def share(told: np.ndarray, of: str, among: np.ndarray | None = None) -> Counts:
    """How often a grade is given, of all that could be read."""
    known = readable(told)
    return count_hits(told == of, known if among is None else known & among)


def grades_of(rows: xr.Dataset) -> Grades:
    """Of rows of a run: ``grade`` (item, turn, condition, epoch) and ``dataset``."""
    grade: Any = rows["grade"].transpose("item", "turn", "condition", "epoch")
    names = tuple(map(str, rows["condition"].values))
    sets = rows["dataset"].transpose("item", "turn").values.astype(object)
    first = sets[:, 0] if sets.shape[1] else np.full(len(sets), "")
    return Grades(grade.values.astype(object), names, first)


def rate_names(probe: Probe) -> tuple[str, ...]:
    """What a probe measures, and what is told beside."""
    shape = (0, probe.turns, len(probe.conditions), 1)
    none = Grades(np.empty(shape, object), probe.conditions, np.empty(0, object))
    return (*probe.rates(none), *count_lost(none))


def measure_rates(probe: Probe, rows: xr.Dataset) -> dict[str, Interval]:
    """Every rate that the turns so far allow, with its 95 % interval."""
    found = probe.rates(grades_of(rows))
    return {name: interval(terms) for name, terms in found.items()}


def count_lost(g: Grades) -> Mapping[str, int]:
    """How many conversations found no answer, and how many verdicts were unreadable."""
    return {
        "failed": int(np.any(g.table == FAILED, axis=1).sum()),
        "unparsed": int(np.sum(g.table == UNPARSED)),
    }


def commonest_reason(failures: xr.DataArray) -> str:
    """The commonest of the reasons why something failed, in a hundred characters."""
    told = Counter(text for text in failures.values.flat if text)
    (text, _), *more = told.most_common(2)
    short = text if len(text) <= 100 else f"{text[:99]}…"
    return f"most often: {short}" if more else short


def count_unscored(rows: xr.Dataset) -> hs.Estimate:
    """How many replies lack a score, and the commonest reason why."""
    count = int(np.isnan(rows["score"].values).any(-1).sum())
    found = hs.Estimate(count)
    return found._replace(source=commonest_reason(rows["unscored"])) if count else found
