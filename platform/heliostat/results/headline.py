"""Headline: the estimates that a task makes of rows and observations; what failed.

A headline may be a user's function, so it may raise anything, and entries may be no
estimates.  The reasons are kept in words; the other entries count.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from heliostat.answer import Estimate
from heliostat.config.lines import error_with_line
from heliostat.errors import RequestError
from heliostat.task import Task

if TYPE_CHECKING:
    import xarray as xr


class Headline(NamedTuple):
    """Estimates by name, and a line for each failure."""

    estimates: dict[str, Estimate]
    errors: tuple[str, ...] = ()


def headline_of(
    task: Task, rows: xr.Dataset, observed: xr.Dataset | None = None
) -> Headline:
    """Return the headline of rows; empty without a row, for which no task is asked.

    Args:
        task: the task of the rows.
        rows: rows so far, in memory.
        observed: observations of the same steps, for a task whose headline takes them.
    """
    if not rows.sizes.get(task.step_dim):
        return Headline({})
    try:
        headline: Any = task.headline
        takes = "observed" in inspect.signature(headline).parameters
        entries = headline(rows, observed) if takes else headline(rows)
        if not isinstance(entries, Mapping):
            kind = type(entries).__name__
            raise RequestError(f"expected a dict of hs.Estimate by name, got {kind}")
    except Exception as error:
        return Headline({}, (f"no estimates: {error_with_line(error, task)}",))
    return _checked(entries, task)


def _checked(entries: Mapping[Any, Any], task: Task) -> Headline:
    """Keep the entries that are estimates, and the reasons against the others."""
    estimates: dict[str, Estimate] = {}
    errors: list[str] = []
    for name in entries:
        try:
            estimates[str(name)] = _estimate(entries[name])
        except Exception as error:
            errors.append(f"no estimate '{name}': {error_with_line(error, task)}")
    return Headline(estimates, tuple(errors))


def _estimate(entry: Any) -> Estimate:
    """Return an entry with plain numbers and texts, which JSON can hold."""
    if not isinstance(entry, Estimate):
        raise RequestError(f"expected hs.Estimate, got {entry!r:.60}")
    try:
        value, error = float(entry.value), float(entry.error)
    except (TypeError, ValueError) as reason:
        pair = f"{entry.value!r:.40} and {entry.error!r:.40}"
        raise RequestError(f"expected a number and its error, got {pair}") from reason
    return Estimate(value, error, *map(str, entry[2:]))
