"""Rates that a probe measures, and counts of what is missing from them.

Each rate is a sum of weighted rates over the same items, so differences are paired.
Conversations that failed and verdicts that cannot be read do not count in the
denominator; they are counted as ``failed`` and ``unparsed``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

import heliostat as hs
from heliostat_tasks.sycophancy.estimates import Interval, interval
from heliostat_tasks.sycophancy.grades import Grades, grades_of
from heliostat_tasks.sycophancy.grading import FAILED, UNPARSED
from heliostat_tasks.sycophancy.probes import Probe

if TYPE_CHECKING:
    import xarray as xr


def rate_names(probe: Probe) -> tuple[str, ...]:
    """Return the names of a probe's rates, then of the counts.

    Example:
        >>> from heliostat_tasks.sycophancy.probes import PROBES
        >>> rate_names(PROBES["mimicry"])
        ('mimicry', 'mimicry_known', 'known', 'failed', 'unparsed')
    """
    shape = (0, probe.turns, len(probe.conditions), 1)
    empty = Grades(np.empty(shape, object), probe.conditions, np.empty(0, object))
    return (*probe.rates(empty), *count_lost(empty))


def measure_rates(probe: Probe, rows: xr.Dataset) -> dict[str, Interval]:
    """Return every rate with its 95 % interval, from the turns so far.

    Args:
        probe: probe of the run.
        rows: ``grade`` (item, turn, condition, epoch) and ``dataset`` (item, turn).
    """
    terms = probe.rates(grades_of(rows))
    return {name: interval(rate) for name, rate in terms.items()}


def count_lost(grades: Grades) -> Mapping[str, int]:
    """Count the conversations without a reply and the verdicts that cannot be read."""
    return {
        "failed": int(np.any(grades.table == FAILED, axis=1).sum()),
        "unparsed": int(np.sum(grades.table == UNPARSED)),
    }


def commonest_reason(failures: xr.DataArray) -> str:
    """Return the commonest of some reasons, cut to a hundred characters.

    Args:
        failures: texts, of any shape; empty where nothing failed.
    """
    counts = Counter(text for text in failures.values.flat if text)
    (text, _), *more = counts.most_common(2)
    short = text if len(text) <= 100 else f"{text[:99]}…"
    return f"most often: {short}" if more else short


def count_unscored(rows: xr.Dataset) -> hs.Estimate:
    """Count the replies without a score; the source is the commonest reason.

    Args:
        rows: ``score`` and ``unscored``, both by scorer last.
    """
    count = int(np.isnan(rows["score"].values).any(-1).sum())
    estimate = hs.Estimate(count)
    if not count:
        return estimate
    return estimate._replace(source=commonest_reason(rows["unscored"]))
