"""Headline of a run: means with Monte Carlo errors, and convergence of the chains.

The draws after the warm-up count, but at most the later half of all draws, because
chains that start at random need an unknown time to reach the target. Errors come from
the effective sample size of all chains together. A statistic that never changed has no
effective sample size and is counted as frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from heliostat import Estimate
from heliostat.kernels.diagnostics.convergence import after_warmup, nested_rhat, summary

if TYPE_CHECKING:
    import xarray as xr

REPORTED = ("energy_per_site", "magnetisation", "lp")
FEWEST = 8
"""Draws below which there is no headline."""


def names(chains: int, starts: int, rungs: int) -> tuple[str, ...]:
    """Return the names of all estimates that a headline may have."""
    conditional = {
        "rhat": chains > 1,
        "nested_rhat": starts > 1,
        "swap_rate": rungs > 1,
    }
    always = (*REPORTED, "ess", "acceptance_rate", "frozen", "impossible", "exact")
    return (*always, *(name for name, present in conditional.items() if present))


def headline(rows: xr.Dataset, warmup: int, starts: int) -> dict[str, Estimate]:
    """Estimate means, the worst effective sample size and the worst R-hat.

    Args:
        rows: rows of a run, warm-up included.
        warmup: its length.
        starts: number of starts that chains share; 0 if each has its own.
    """
    rows = rows.isel(draw=after_warmup(rows.sizes["draw"], warmup))
    if rows.sizes["draw"] < FEWEST:
        return {}
    columns = np.stack([rows[name].values for name in REPORTED], -1)
    diagnosis = summary(columns)
    mean, mcse = np.atleast_1d(diagnosis.mean), np.atleast_1d(diagnosis.mcse)
    units = [rows[name].attrs.get("units", "1") for name in REPORTED]
    estimates = {
        name: Estimate(float(mean[i]), float(mcse[i]), units[i])
        for i, name in enumerate(REPORTED)
    }
    estimates |= _convergence(rows, diagnosis)
    if starts:
        group = np.arange(columns.shape[0]) % starts
        nested = np.atleast_1d(nested_rhat(columns, group))
        estimates["nested_rhat"] = Estimate(_worst(np.fmax.reduce, nested))
    if frozen := int(np.sum(diagnosis.constant)):
        estimates["frozen"] = Estimate(float(frozen), units="statistics")
    if lost := _lost_chains(rows):
        estimates["impossible"] = Estimate(float(lost), units="chains")
    return estimates


def _convergence(rows: xr.Dataset, diagnosis: Any) -> dict[str, Estimate]:
    """Report sample size, acceptance, R-hat and the least exchange of a ladder."""
    unknown = np.nan if _lost_chains(rows) else 0.0  # chains outside the target
    ess = np.fmin(diagnosis.ess_bulk, diagnosis.ess_tail) + unknown
    estimates = {
        "ess": Estimate(_worst(np.fmin.reduce, ess), units="draws"),
        "acceptance_rate": Estimate(float(rows.acceptance_rate.mean())),
    }
    if rows.sizes["chain"] > 1:
        rhat = _worst(np.fmax.reduce, diagnosis.rhat + unknown)
        estimates["rhat"] = Estimate(rhat)
    if "swap_rate" in rows:  # the pair that exchanges least limits the ladder
        rate = rows.swap_rate.mean(["chain", "draw"])
        estimates["swap_rate"] = Estimate(float(rate.min()))
    return estimates


def _lost_chains(rows: xr.Dataset) -> int:
    """Count the chains with a draw that is impossible under the target."""
    return int((~np.isfinite(rows.lp.values)).any(axis=1).sum())


def _worst(reduce: Callable[..., Any], values: Float[np.ndarray, " ..."]) -> float:
    """Reduce the values that are not NaN; NaN if there are none."""
    return float(reduce(np.atleast_1d(values)))


STATS = ("lp", "acceptance_rate", "hops", "step_size", "swap_rate")
"""Variables of the sampler; ArviZ knows the names of the first, second and last."""


def groups(rows: xr.Dataset, warmup: int) -> Mapping[str, xr.Dataset]:
    """Group rows as ArviZ does: posterior, sample_stats, and both for the warm-up."""
    draws = rows.sizes.get("draw", 0)
    first = min(warmup, draws)
    parts = {"warmup_": slice(0, first), "": slice(first, None)}
    stats = [name for name in STATS if name in rows]
    attrs = {"inference_library": "heliostat"}
    datasets = {}
    for prefix, part in parts.items():
        draws = rows.isel(draw=part)
        datasets[f"{prefix}posterior"] = draws.drop_vars(stats).assign_attrs(attrs)
        datasets[f"{prefix}sample_stats"] = draws[stats].assign_attrs(attrs)
    return {name: data for name, data in datasets.items() if data.sizes.get("draw")}
