"""Headline of a run: errors of couplings, the loss, and likelihoods of test states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.correlated_mean import correlated_mean

if TYPE_CHECKING:
    import xarray as xr

LIKELIHOODS = tuple(
    "log_likelihood log_likelihood_lower log_likelihood_upper log_likelihood_train "
    "bracket baseline log_z log_z_lower log_z_upper".split()
)
"""Names of the estimates of a complete pass of annealing."""

RECENT = 100
"""Last rows, over which the loss is averaged."""


def headline(
    rows: xr.Dataset, couplings: Mapping[str, Estimate], site: str
) -> Mapping[str, Estimate]:
    """Report couplings, and likelihoods of the last complete pass of annealing.

    Before the first complete pass, the loss stands for the likelihoods.

    Args:
        rows: rows of the run so far.
        couplings: estimates of the couplings' error, see :func:`coupling_errors`.
        site: name of the sites in the plural, such as pixels.
    """
    if not rows.sizes.get("step"):
        return {}
    passes = np.flatnonzero(rows["beta"].values.ravel() >= 1)
    last = _likelihood(rows, int(passes[-1]), site) if len(passes) else _loss(rows)
    return {**couplings, **last}


def coupling_names(ising: bool) -> tuple[str, ...]:
    """Return the names of :func:`coupling_errors`."""
    return ("rmse", "sampling_error") if ising else ("rmse",)


def coupling_errors(rows: xr.Dataset, samples: int, ising: bool) -> dict[str, Estimate]:
    """Report the RMS error of the couplings, beside the least without a penalty.

    The standard error of an Ising coupling near zero is 1/√samples.
    """
    if not rows.sizes.get("step"):
        return {}
    rmse = Estimate(float(rows["rmse"].values.ravel()[-1]))
    limit = Estimate(samples**-0.5, source="1/√samples, no penalty")
    return {"rmse": rmse} | ({"sampling_error": limit} if ising else {})


def _loss(rows: xr.Dataset) -> dict[str, Estimate]:
    recent = rows["loss"].values.ravel()[-RECENT:]
    recent = recent[np.isfinite(recent)]
    if not len(recent):
        return {}
    mean = correlated_mean(recent)
    return {"loss": Estimate(mean.mean, mean.error, "nat", note=mean.note)}


def _likelihood(rows: xr.Dataset, index: int, site: str) -> dict[str, Estimate]:
    """Subtract log Z from mean log p; the bounds of log Z swap their sides."""
    row = {name: float(rows[name].values.ravel()[index]) for name in rows.data_vars}

    def log_z(name: str) -> Estimate:
        return Estimate(row[name], row[f"{name}_error"], "nat")

    def likelihood(z: Estimate, states: str = "test") -> Estimate:
        return Estimate(row[f"log_p_{states}"] - z.value, z.error, "nat")

    z, low, high = map(log_z, ("log_z", "log_z_lower", "log_z_upper"))
    width = float(np.hypot(low.error, high.error))
    return {
        "log_likelihood": likelihood(z),
        "log_likelihood_lower": likelihood(high),
        "log_likelihood_upper": likelihood(low),
        "log_likelihood_train": likelihood(z, "train"),
        "bracket": Estimate(high.value - low.value, width, "nat"),
        "baseline": Estimate(
            row["baseline"], units="nat", source=f"independent {site}"
        ),
        "log_z": z,
        "log_z_lower": low,
        "log_z_upper": high,
    }
