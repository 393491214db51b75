"""What a run found: how near the couplings are, how likely the test states are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.blocking import blocked_mean

if TYPE_CHECKING:
    import xarray as xr

    from heliostat_tasks.learn.task import Learn

FINDS = tuple(
    "rmse sampling_error loss log_likelihood log_likelihood_lower "
    "log_likelihood_upper log_likelihood_train bracket baseline log_z log_z_lower "
    "log_z_upper".split()
)

RECENT = 100
"""Rows that the loss is a mean of."""


def headline(rows: xr.Dataset, task: Learn) -> Mapping[str, Estimate]:
    """Couplings against the truth, if that is known; the loss, until a pass of
    annealing is complete; then the last complete one's likelihood."""
    if not rows.sizes.get("step"):
        return {}
    passed = np.flatnonzero(rows["beta"].values.ravel() >= 1)
    known = _couplings(rows, task) if task.data is None and task.model != "ebm" else {}
    return known | (_likelihood(rows, task, passed[-1]) if len(passed) else _loss(rows))


def _couplings(rows: xr.Dataset, task: Learn) -> dict[str, Estimate]:
    """The error bar of a coupling near zero is 1/√n, whoever infers it without bias."""
    limit = Estimate(task.samples**-0.5, source="1/√samples, no penalty")
    rmse = Estimate(float(rows["rmse"].values.ravel()[-1]))
    return {"rmse": rmse} | ({"sampling_error": limit} if task.model == "ising" else {})


def _loss(rows: xr.Dataset) -> dict[str, Estimate]:
    recent = rows["loss"].values.ravel()[-RECENT:]
    recent = recent[np.isfinite(recent)]
    if not len(recent):
        return {}
    mean = blocked_mean(recent)
    return {"loss": Estimate(mean.mean, mean.error, "nat")}


def _likelihood(rows: xr.Dataset, task: Learn, at: int) -> dict[str, Estimate]:
    """Of the test set: mean log p minus log Z, whose bounds change places."""
    row = {name: float(rows[name].values.ravel()[at]) for name in rows.data_vars}

    def log_z(name: str) -> Estimate:
        return Estimate(row[name], row[f"{name}_error"], "nat")

    def likelihood(z: Estimate, states: str = "test") -> Estimate:
        return Estimate(row[f"log_p_{states}"] - z.value, z.error, "nat")

    z, low, high = map(log_z, ("log_z", "log_z_lower", "log_z_upper"))
    what = "pixels" if task.model == "ebm" else "sites"
    width = float(np.hypot(low.error, high.error))
    return {
        "log_likelihood": likelihood(z),
        "log_likelihood_lower": likelihood(high),
        "log_likelihood_upper": likelihood(low),
        "log_likelihood_train": likelihood(z, "train"),
        "bracket": Estimate(high.value - low.value, width, "nat"),
        "baseline": Estimate(
            row["baseline"], units="nat", source=f"independent {what}"
        ),
        "log_z": z,
        "log_z_lower": low,
        "log_z_upper": high,
    }
