"""Estimates of a run: effects with their spread, and convergence of the chains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.convergence import summary
from heliostat.kernels.diagnostics.estimates import ess_estimate, rhat_estimate
from heliostat_tasks.preferences.effects import probabilities, with_sums
from heliostat_tasks.preferences.regression import accuracy
from heliostat_tasks.preferences.tables import Table, identifier

if TYPE_CHECKING:
    import xarray as xr

MIN_DRAWS = 8
"""Draws below which nothing is estimated."""

OF_THE_STATE = ("potential_energy", "energy")
OF_THE_MOVES = ("acceptance_rate", "leapfrog_steps", "diverging")
"""Statistics beside the coefficients."""

STATS = {
    "potential_energy": "potential_energy",
    "energy": "energy",
    "acceptance_rate": "acceptance_rate",
    "leapfrog_steps": "n_steps",
    "diverging": "diverging",
    "step_size": "step_size",
}
"""Rows about the sampler, and ArviZ's names for them."""


def names(table: Table, chains: int, holdout: float) -> tuple[str, ...]:
    """Names of the estimates in a headline.

    Args:
        table: the labelled pairs.
        chains: number of chains; one has no R̂.
        holdout: share of pairs held out; without any there is no accuracy.
    """
    always = ["ess", "divergences"]
    always += ["rhat"] * (chains > 1)
    always += ["holdout_accuracy"] * (holdout > 0)
    always += ["oracle_accuracy"] * (holdout > 0 and table.coefficients is not None)
    nothing = np.zeros((1, 1, len(table.features)))
    features = with_sums(_labelled(nothing, table.features))["feature"].values.tolist()
    return (*always, *(_effect_name(feature) for feature in features))


def headline(draws: xr.Dataset, table: Table, holdout: float) -> Mapping[str, Estimate]:
    """Estimate σ(α) of every feature, held-out accuracy, and the worst ESS and R̂.

    Args:
        draws: rows after the warm-up, dims chain, draw and feature.
        table: the labelled pairs.
        holdout: share of pairs held out.

    Returns:
        Estimates by name; none for fewer than ``MIN_DRAWS`` draws.
    """
    if draws.sizes["draw"] < MIN_DRAWS:
        return {}
    alpha = _labelled(draws["coefficients"].values, table.features)
    result = _convergence(draws, table.features) | {
        "divergences": Estimate(float(draws["diverging"].sum()), units="draws"),
    }
    mean = alpha.mean(("chain", "draw")).values
    return result | _accuracies(mean, table, holdout) | _effects(alpha)


def _convergence(draws: xr.Dataset, features: tuple[str, ...]) -> dict[str, Estimate]:
    """Report the worst ESS and R̂ of coefficients, energies and moves.

    Moves differ between chains whose step sizes differ; then they do not count.
    """
    alike = np.ptp(draws["step_size"].values) == 0
    judged = [*OF_THE_STATE, *(OF_THE_MOVES if alike else [])]
    each = {name: summary(draws[name].values) for name in judged}
    for i, feature in enumerate(features):
        alpha = draws["coefficients"].values[..., i]
        each[f"coefficients[{feature}]"] = summary(alpha)
    sizes = {name: np.fmin(s.ess_bulk, s.ess_tail) for name, s in each.items()}
    chains = draws.sizes["chain"]
    result = {"ess": ess_estimate(sizes, chains)}
    if chains > 1:
        result["rhat"] = rhat_estimate({name: s.rhat for name, s in each.items()})
    return result


def groups(
    rows: xr.Dataset, features: tuple[str, ...], warmup: int
) -> Mapping[str, xr.Dataset]:
    """Group rows as ArviZ does: posterior and sample_stats, with and without warm-up.

    Args:
        rows: all rows, dims chain, draw and feature.
        features: names of the features.
        warmup: number of draws to put into the groups of the warm-up.
    """
    rows = rows.assign_coords(feature=list(features))
    stats = rows[list(STATS)].rename(STATS).assign(lp=-rows["potential_energy"])
    about = {"inference_library": "numpyro"}
    first = min(warmup, rows.sizes.get("draw", 0))
    parts = {"warmup_": slice(0, first), "": slice(first, None)}
    result = {}
    for prefix, part in parts.items():
        posterior = rows[["coefficients"]].isel(draw=part)
        result[f"{prefix}posterior"] = posterior.assign_attrs(about)
        result[f"{prefix}sample_stats"] = stats.isel(draw=part).assign_attrs(about)
    return {name: data for name, data in result.items() if data.sizes.get("draw")}


def _labelled(alpha: np.ndarray, features: tuple[str, ...]) -> xr.DataArray:
    import xarray as xr

    dims = ("chain", "draw", "feature")
    return xr.DataArray(alpha.astype(float), {"feature": list(features)}, dims)


def _effects(alpha: xr.DataArray) -> dict[str, Estimate]:
    """Posterior medians with posterior standard deviations, the largest first."""
    draws = probabilities(with_sums(alpha))
    medians = draws.median(("chain", "draw")).values
    deviations = draws.std(("chain", "draw")).values
    features = draws["feature"].values.tolist()
    return {
        _effect_name(features[i]): Estimate(float(medians[i]), float(deviations[i]))
        for i in np.argsort(-medians)
    }


def _accuracies(mean: np.ndarray, table: Table, holdout: float) -> dict[str, Estimate]:
    _, out = table.split(holdout)
    if not len(out):
        return {}
    result = {"holdout_accuracy": _proportion(accuracy(mean, out), len(out))}
    if table.coefficients is not None:
        best = _proportion(accuracy(table.coefficients, out), len(out))
        result["oracle_accuracy"] = best._replace(source="the planted coefficients")
    return result


def _proportion(p: float, n: int) -> Estimate:
    """A proportion of n pairs with its binomial error."""
    return Estimate(p, float(np.sqrt(p * (1 - p) / n)))


def _effect_name(feature: str) -> str:
    return f"prefers_{identifier(feature)}"
