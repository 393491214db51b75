"""Several assistants that were asked the same: as one dataset, and held together.

Differences are paired: both rates are of the same items, and both are of the same draw
of items in each sample of the bootstrap, so that what makes an item hard is no noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

import heliostat as hs
from heliostat_tasks.sycophancy import labels
from heliostat_tasks.sycophancy.estimates import Interval, interval
from heliostat_tasks.sycophancy.probes import PROBES
from heliostat_tasks.sycophancy.rates import grades_of
from heliostat_tasks.sycophancy.transcripts import load_rows, probe_name


def align_runs(*runs: hs.Run) -> xr.Dataset:
    """The rows of runs of one probe, of those items that all of them were asked.

    Returns:
        Dims assistant, item, turn, condition, epoch; items bear their ids.  What some
        run has and others lack is left out, and the attribute ``left_out`` says what.

    Raises:
        RequestError: for runs of several probes, or without a common item.

    Example:
        >>> together(first, second).grade.sel(assistant="gpt-4")  # doctest: +SKIP
    """
    parts, lost = _matched(runs, ("item", "turn", "condition", "epoch"))
    names = pd.Index(labels.assistant_names(runs), name="assistant", dtype=object)
    rows = xr.concat(parts, names, join="exact")
    return rows.assign_attrs(probe=probe_name(runs[0]), left_out=lost)


class Comparison(NamedTuple):
    """Two assistants, side by side."""

    names: tuple[str, str]
    items: int
    left_out: list[str]
    rates: dict[str, tuple[Interval, Interval, Interval]]
    """Of the first, of the second, and of the second minus the first."""


def compare_runs(first: hs.Run, second: hs.Run) -> Comparison:
    """Every rate of two assistants over the same items, and its difference.

        Δ = rate(second) − rate(first),   95 % intervals by resampling items

    Raises:
        RequestError: as :func:`together`.
    """
    parts, lost = _matched([first, second], ("item", "turn", "condition"))
    probe = PROBES[probe_name(first)]
    one, other = (probe.rates(grades_of(part)) for part in parts)
    rates = {
        name: (
            interval(one[name]),
            interval(other[name]),
            interval([*other[name], *((-w, rate) for w, rate in one[name])]),
        )
        for name in one
    }
    names = labels.assistant_names([first, second])
    return Comparison((names[0], names[1]), parts[0].sizes["item"], lost, rates)


def _matched(
    runs: Sequence[hs.Run], dims: Sequence[str]
) -> tuple[list[xr.Dataset], list[str]]:
    """Rows of each run, all with the same entries along ``dims``; what is left out."""
    parts = [_by_id(load_rows(run)) for run in runs]
    if len({probe_name(run) for run in runs}) > 1:
        each = ", ".join(f"{run.id} is of {probe_name(run)}" for run in runs)
        raise hs.RequestError(f"{each}; expected runs of one probe")
    common = {dim: _common([part.indexes[dim] for part in parts]) for dim in dims}
    if not common["item"]:
        raise hs.RequestError("these runs have no item in common")
    lost = [
        f"{part.sizes[dim] - len(kept)} of {part.sizes[dim]} {dim}s of {run.id}"
        for run, part in zip(runs, parts, strict=True)
        for dim, kept in common.items()
        if part.sizes[dim] > len(kept)
    ]
    return [part.sel(common) for part in parts], lost


def _by_id(rows: xr.Dataset) -> xr.Dataset:
    """Rows whose items bear their ids, which are the same in every run."""
    ids = pd.Index(rows["id"].values[:, 0], name="item", dtype=object)
    epochs = np.arange(1, rows.sizes["epoch"] + 1)
    rows = rows.drop_vars("id").drop_attrs(deep=False)
    return rows.assign_coords(item=ids, epoch=epochs)


def _common(indexes: Sequence[pd.Index]) -> list:
    """What all have, in the first one's order."""
    first, *others = indexes
    return [entry for entry in first if all(entry in other for other in others)]
