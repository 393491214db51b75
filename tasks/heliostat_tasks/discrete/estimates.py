"""What a run found: means with honest errors, and whether its chains agree.

Draws after the warm-up count, and of these at most the later half of all draws: chains
that start at random need time, and nobody knows beforehand how much.  Errors come from
the effective sample size of all chains together; a statistic that never changed has
none: it is counted as frozen instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.convergence import after_warmup, nested_rhat, summary
from heliostat_tasks.discrete.exact import references

if TYPE_CHECKING:
    import xarray as xr

    from heliostat_tasks.discrete.task import Discrete

REPORTED = ("energy_per_site", "magnetisation", "lp")
FEWEST = 8
"""Draws below which nothing is said."""


def finds(task: Discrete) -> tuple[str, ...]:
    """What a headline may have: R-hat compares chains, a swap wants a ladder."""
    compared = {
        "rhat": task.chains > 1,
        "nested_rhat": task.starts > 1,
        "swap_rate": task.rungs > 1,
    }
    always = (*REPORTED, "ess", "acceptance_rate", "frozen", "impossible", "exact")
    return (*always, *(name for name, told in compared.items() if told))


def headline(rows: xr.Dataset, task: Discrete) -> Mapping[str, Estimate]:
    """Means, the worst effective sample size and R-hat, and exact values."""
    rows = rows.isel(draw=after_warmup(rows.sizes["draw"], task.warmup))
    if rows.sizes["draw"] < FEWEST:
        return {}
    columns = np.stack([rows[name].values for name in REPORTED], -1)
    found = summary(columns)
    units = [rows[name].attrs.get("units", "1") for name in REPORTED]
    means = {
        name: Estimate(float(found.mean[i]), float(found.mcse[i]), units[i])
        for i, name in enumerate(REPORTED)
    }
    lost = int((~np.isfinite(rows.lp.values)).any(axis=1).sum())
    unknown = np.nan if lost else 0.0  # no draws of the density: nothing holds
    ess = np.fmin(found.ess_bulk, found.ess_tail) + unknown
    told = {
        "ess": Estimate(_worst(np.fmin.reduce, ess), units="draws"),
        "acceptance_rate": Estimate(float(rows.acceptance_rate.mean())),
    }
    if task.chains > 1:
        told["rhat"] = Estimate(_worst(np.fmax.reduce, found.rhat + unknown))
    if task.rungs > 1:  # of the pair that exchanges least: what limits the ladder
        rate = rows.swap_rate.mean(["chain", "draw"])
        told["swap_rate"] = Estimate(float(rate.min()))
    if task.starts:
        group = np.arange(columns.shape[0]) % task.starts
        nested = np.atleast_1d(nested_rhat(columns, group))
        told["nested_rhat"] = Estimate(_worst(np.fmax.reduce, nested))
    if frozen := int(np.sum(found.constant)):
        told["frozen"] = Estimate(float(frozen), units="statistics")
    if lost:
        told["impossible"] = Estimate(float(lost), units="chains")
    return means | told | references(task)


def _worst(of, values: np.ndarray) -> float:
    """The worst of the defined ones; undefined if none is."""
    return float(of(np.atleast_1d(values)))


STATS = ("lp", "acceptance_rate", "hops", "step_size", "swap_rate")
"""Rows that tell of the sampler; ArviZ knows the first, second and last by name."""


def groups(rows: xr.Dataset, warmup: int) -> Mapping[str, xr.Dataset]:
    """ArviZ's groups: what is sampled apart from how, warm-up apart from the rest."""
    draws = rows.sizes.get("draw", 0)
    first = min(warmup, draws)
    parts = {"warmup_": slice(0, first), "": slice(first, None)}
    stats = [name for name in STATS if name in rows]
    about = {"inference_library": "heliostat"}
    found = {}
    for prefix, part in parts.items():
        some = rows.isel(draw=part)
        found[f"{prefix}posterior"] = some.drop_vars(stats).assign_attrs(about)
        found[f"{prefix}sample_stats"] = some[stats].assign_attrs(about)
    return {name: data for name, data in found.items() if data.sizes.get("draw")}
