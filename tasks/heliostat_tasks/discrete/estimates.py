"""Headline of a run: means with Monte Carlo errors, and convergence of the chains.

The draws after the warm-up count, but at most the later half of all draws, because
chains that start at random need an unknown time to reach the target. Errors come from
the effective sample size of all chains together. R-hat and ESS are the worst of all
statistics, because chains in different modes may agree in most of them; R-hat looks at
the observed states too. A statistic that never changed has no effective sample size and
is counted as frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.batches import MIN_DRAWS
from heliostat.kernels.diagnostics.convergence import (
    ConvergenceSummary,
    after_warmup,
    nested_rhat,
    summary,
)
from heliostat.kernels.diagnostics.estimates import ess_estimate, rhat_estimate
from heliostat.kernels.diagnostics.states import rhat_of_states

if TYPE_CHECKING:
    import xarray as xr

REPORTED = ("energy_per_site", "magnetisation", "lp")
FEWEST = 8
"""Draws below which there is no headline."""

OF_THE_STATE = (*REPORTED, "hamming")
"""Statistics of the state."""

OF_THE_MOVES = ("acceptance_rate", "hops", "swap_rate")
"""Statistics of moves: they differ between chains whose step sizes differ."""

Summaries = Mapping[str, ConvergenceSummary]


def names(chains: int, starts: int, rungs: int) -> tuple[str, ...]:
    """Return the names of all estimates that a headline may have."""
    conditional = {
        "rhat": chains > 1,
        "nested_rhat": starts > 1,
        "swap_rate": rungs > 1,
    }
    always = (*REPORTED, "ess", "acceptance_rate", "frozen", "impossible", "exact")
    return (*always, *(name for name, present in conditional.items() if present))


def headline(
    rows: xr.Dataset,
    warmup: int,
    starts: int,
    states: xr.DataArray | None = None,
    values: int = 2,
) -> dict[str, Estimate]:
    """Estimate means, the worst effective sample size and the worst R-hat.

    Args:
        rows: rows of a run, warm-up included.
        warmup: its length.
        starts: number of starts that chains share; 0 if each has its own.
        states: states at strides, dims chain, draw and site; without them, R-hat looks
            at rows only.
        values: number of values of a site.
    """
    rows = rows.isel(draw=after_warmup(rows.sizes["draw"], warmup))
    if rows.sizes["draw"] < FEWEST:
        return {}
    summaries = {name: summary(rows[name].values) for name in _judged(rows)}
    estimates = {name: _mean(rows[name], summaries[name]) for name in REPORTED}
    lost = _lost_chains(rows)
    estimates |= {"ess": _ess(rows, summaries, starts, lost)} | _moves(rows)
    if rows.sizes["chain"] > 1:
        late = None if states is None else states.sel(draw=slice(rows.draw[0], None))
        estimates["rhat"] = _rhat(summaries, late, values, lost)
    if starts:
        estimates["nested_rhat"] = _nested_rhat(rows, starts)
    if frozen := sum(bool(summaries[name].constant) for name in OF_THE_STATE):
        estimates["frozen"] = Estimate(float(frozen), units="statistics")
    if lost:
        estimates["impossible"] = Estimate(float(lost), units="chains")
    return estimates


def _judged(rows: xr.Dataset) -> list[str]:
    """Return the statistics that have the same law in all chains that agree."""
    alike = np.ptp(rows["step_size"].values) == 0
    moves = [name for name in OF_THE_MOVES if name in rows]
    return [*OF_THE_STATE, *(moves if alike else [])]


def _mean(draws: xr.DataArray, diagnosis: ConvergenceSummary) -> Estimate:
    unit = draws.attrs.get("units", "1")
    return Estimate(float(diagnosis.mean), float(diagnosis.mcse), unit)


def _moves(rows: xr.Dataset) -> dict[str, Estimate]:
    """Report acceptance, and the least exchange of a ladder."""
    estimates = {"acceptance_rate": Estimate(float(rows.acceptance_rate.mean()))}
    if "swap_rate" in rows:  # the pair that exchanges least limits the ladder
        rate = rows.swap_rate.mean(["chain", "draw"])
        estimates["swap_rate"] = Estimate(float(rate.min()))
    return estimates


def _ess(rows: xr.Dataset, summaries: Summaries, starts: int, lost: int) -> Estimate:
    """Report the least effective sample size; unknown outside the target."""
    sizes = {n: np.fmin(s.ess_bulk, s.ess_tail) for n, s in summaries.items()}
    groups, kind = (starts, "starts") if starts else (rows.sizes["chain"], "chains")
    return ess_estimate({} if lost else sizes, groups, kind)


def _rhat(
    summaries: Summaries, states: xr.DataArray | None, values: int, lost: int
) -> Estimate:
    """Report the worst R-hat of rows and states.

    Without enough states, a small R-hat of the rows alone is no evidence.
    """
    if lost:
        return rhat_estimate({}, f"unknown: {lost} chains are outside of the target")
    rhats = {name: summary.rhat for name, summary in summaries.items()}
    if states is None:
        return rhat_estimate(rhats)
    if (observed := states.sizes["draw"]) < MIN_DRAWS:
        few = f"unknown: {observed} states of each chain, and modes show in {MIN_DRAWS}"
        return rhat_estimate(rhats, few)
    return rhat_estimate(rhats | rhat_of_states(states.values, values))


def _nested_rhat(rows: xr.Dataset, starts: int) -> Estimate:
    """Report the worst R-hat of groups of chains that share a start."""
    group = np.arange(rows.sizes["chain"]) % starts
    names = _judged(rows)
    return rhat_estimate(
        {name: nested_rhat(rows[name].values, group) for name in names}
    )


def _lost_chains(rows: xr.Dataset) -> int:
    """Count the chains with a draw that is impossible under the target."""
    return int((~np.isfinite(rows.lp.values)).any(axis=1).sum())


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
