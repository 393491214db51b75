"""Comparison of runs of one probe by different assistants, on their common items.

Differences are paired: both rates are measured on the same items, and each bootstrap
sample draws the same items for both.  So the difficulty of an item is no noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import heliostat as hs
from heliostat_tasks.sycophancy import labels
from heliostat_tasks.sycophancy.estimates import Interval, interval
from heliostat_tasks.sycophancy.grades import grades_of
from heliostat_tasks.sycophancy.probes import PROBES
from heliostat_tasks.sycophancy.transcripts import load_rows, probe_name


def align_runs(*runs: hs.Run) -> xr.Dataset:
    """Return the rows of runs of one probe as one dataset, for their common items.

    Args:
        runs: runs of this task.

    Returns:
        Dims assistant, item, turn, condition, epoch; the labels of items are their ids.
        Entries that some run lacks are left out; the attribute ``left_out`` lists them.

    Raises:
        heliostat.RequestError: for runs of several probes, or without a common item.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.sycophancy import Sycophancy
        >>> first = hs.run(Sycophancy(limit=4), on="here")
        >>> second = hs.run(Sycophancy(limit=4, planted="flip=0.5"), on="here")
        >>> rows = align_runs(first, second)
        >>> rows.sizes["assistant"], rows.sizes["item"]
        (2, 4)
    """
    parts, left_out = _select_common(runs, ("item", "turn", "condition", "epoch"))
    names = pd.Index(labels.assistant_names(runs), name="assistant", dtype=object)
    rows = xr.concat(parts, names, join="exact")
    return rows.assign_attrs(probe=probe_name(runs[0]), left_out=left_out)


class Comparison(NamedTuple):
    """Rates of two assistants and their differences."""

    names: tuple[str, str]
    items: int
    left_out: list[str]
    rates: dict[str, tuple[Interval, Interval, Interval]]
    """Of the first, of the second, and of the second minus the first."""


def compare_runs(first: hs.Run, second: hs.Run) -> Comparison:
    """Return every rate of two assistants on their common items, and its difference.

        Δ = rate(second) − rate(first),   95 % intervals by resampling items

    Args:
        first: run of this task.
        second: run of the same probe.

    Raises:
        heliostat.RequestError: for runs of two probes, or without a common item.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.sycophancy import Sycophancy
        >>> first = hs.run(Sycophancy(limit=4), on="here")
        >>> second = hs.run(Sycophancy(limit=4, planted="flip=0.5"), on="here")
        >>> comparison = compare_runs(first, second)
        >>> comparison.items, len(comparison.rates["flip"])
        (4, 3)
    """
    parts, left_out = _select_common([first, second], ("item", "turn", "condition"))
    probe = PROBES[probe_name(first)]
    one, other = (probe.rates(grades_of(part)) for part in parts)
    rates = {
        name: (
            interval(one[name]),
            interval(other[name]),
            interval([*other[name], *((-w, counts) for w, counts in one[name])]),
        )
        for name in one
    }
    names = labels.assistant_names([first, second])
    return Comparison((names[0], names[1]), parts[0].sizes["item"], left_out, rates)


def _select_common(
    runs: Sequence[hs.Run], dims: Sequence[str]
) -> tuple[list[xr.Dataset], list[str]]:
    """Select the common entries along ``dims``; also return what is left out."""
    parts = [_label_items(load_rows(run)) for run in runs]
    if len({probe_name(run) for run in runs}) > 1:
        probes = ", ".join(f"{run.id} is of {probe_name(run)}" for run in runs)
        raise hs.RequestError(f"{probes}; expected runs of one probe")
    common = {dim: _common([part.indexes[dim] for part in parts]) for dim in dims}
    if not common["item"]:
        raise hs.RequestError("these runs have no item in common")
    left_out = [
        f"{part.sizes[dim] - len(entries)} of {part.sizes[dim]} {dim}s of {run.id}"
        for run, part in zip(runs, parts, strict=True)
        for dim, entries in common.items()
        if part.sizes[dim] > len(entries)
    ]
    return [part.sel(common) for part in parts], left_out


def _label_items(rows: xr.Dataset) -> xr.Dataset:
    """Label items by their ids, which are the same in every run."""
    ids = pd.Index(rows["id"].values[:, 0], name="item", dtype=object)
    epochs = np.arange(1, rows.sizes["epoch"] + 1)
    rows = rows.drop_vars("id").drop_attrs(deep=False)
    return rows.assign_coords(item=ids, epoch=epochs)


def _common(indexes: Sequence[pd.Index]) -> list[Any]:
    """Return the entries that all indexes have, in the order of the first."""
    first, *others = indexes
    return [entry for entry in first if all(entry in other for other in others)]
