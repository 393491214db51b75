"""What a run found: effects with their spread, and whether its chains agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.convergence import summary
from heliostat_tasks.preferences.effects import probabilities, with_sums
from heliostat_tasks.preferences.regression import accuracy
from heliostat_tasks.preferences.tables import Table, word_of

if TYPE_CHECKING:
    import xarray as xr

    from heliostat_tasks.preferences.task import Preferences

FEWEST = 8
"""Draws below which nothing is said."""

STATS = {
    "potential_energy": "potential_energy",
    "energy": "energy",
    "acceptance_rate": "acceptance_rate",
    "leapfrog_steps": "n_steps",
    "diverging": "diverging",
    "step_size": "step_size",
}
"""Rows that tell of the sampler, and what ArviZ calls them."""


def finds(task: Preferences) -> tuple[str, ...]:
    """What a headline may have."""
    told = ["ess", "divergences"]
    told += ["rhat"] * (task.chains > 1)
    told += ["holdout_accuracy"] * (task.holdout > 0)
    told += ["oracle_accuracy"] * (task.holdout > 0 and task.data is None)
    names = with_sums(_named(np.zeros((1, 1, len(task.features))), task.features))
    return (*told, *(_effect(name) for name in names["feature"].values.tolist()))


def headline(rows: xr.Dataset, task: Preferences) -> Mapping[str, Estimate]:
    """σ(α) of every feature, how well held-out pairs are told, the worst ESS and R̂."""
    rows = rows.isel(draw=slice(task.warmup, None))
    if rows.sizes["draw"] < FEWEST:
        return {}
    alpha = _named(rows["coefficients"].values, task.features)
    judged = summary(alpha.values)
    ess = np.fmin(judged.ess_bulk, judged.ess_tail)
    told = {
        "ess": Estimate(float(np.min(ess)), units="draws"),
        "divergences": Estimate(float(rows["diverging"].sum()), units="draws"),
    }
    if task.chains > 1:
        told["rhat"] = Estimate(float(np.max(judged.rhat)))
    mean = alpha.mean(("chain", "draw")).values
    return told | _accuracies(mean, task.table, task.holdout) | _effects(alpha)


def groups(rows: xr.Dataset, task: Preferences) -> Mapping[str, xr.Dataset]:
    """ArviZ's groups: coefficients apart from how they were sampled, warm-up apart."""
    rows = rows.assign_coords(feature=list(task.features))
    stats = rows[list(STATS)].rename(STATS).assign(lp=-rows["potential_energy"])
    about = {"inference_library": "numpyro"}
    first = min(task.warmup, rows.sizes.get("draw", 0))
    parts = {"warmup_": slice(0, first), "": slice(first, None)}
    found = {}
    for prefix, part in parts.items():
        drawn = rows[["coefficients"]].isel(draw=part)
        found[f"{prefix}posterior"] = drawn.assign_attrs(about)
        found[f"{prefix}sample_stats"] = stats.isel(draw=part).assign_attrs(about)
    return {name: data for name, data in found.items() if data.sizes.get("draw")}


def _named(alpha: np.ndarray, features: tuple[str, ...]) -> xr.DataArray:
    import xarray as xr

    dims = ("chain", "draw", "feature")
    return xr.DataArray(alpha.astype(float), {"feature": list(features)}, dims)


def _effects(alpha: xr.DataArray) -> dict[str, Estimate]:
    """Posterior medians, the most rewarded feature first; errors are posterior sd."""
    told = probabilities(with_sums(alpha))
    middle = told.median(("chain", "draw")).values
    spread = told.std(("chain", "draw")).values
    names = told["feature"].values.tolist()
    return {
        _effect(names[i]): Estimate(float(middle[i]), float(spread[i]))
        for i in np.argsort(-middle)
    }


def _accuracies(mean: np.ndarray, table: Table, holdout: float) -> dict[str, Estimate]:
    _, out = table.split(holdout)
    if not len(out):
        return {}
    told = {"holdout_accuracy": _share(accuracy(mean, out), len(out))}
    if table.planted is not None:
        best = _share(accuracy(table.planted, out), len(out))
        told["oracle_accuracy"] = best._replace(source="the planted coefficients")
    return told


def _share(p: float, n: int) -> Estimate:
    """A share of n pairs with its binomial error."""
    return Estimate(p, float(np.sqrt(p * (1 - p) / n)))


def _effect(feature: str) -> str:
    return f"prefers_{word_of(feature)}"
