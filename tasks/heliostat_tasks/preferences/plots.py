"""Pictures of a run: what is rewarded, and by how much.

import heliostat as hs
from heliostat_tasks.preferences.plots import draw

draw(hs.open("0ed4b8379459a924"), "effects.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heliostat_tasks.preferences.effects import effects, probabilities, with_sums

if TYPE_CHECKING:
    import xarray as xr

    from heliostat import Run
    from heliostat_tasks.preferences.task import Preferences


def draw(run: Run, output: str | None = None) -> Any:
    """σ(α) of every feature: posterior median, central 50 % and 95 %, sorted.

    Where the coefficients were planted, circles show what was planted: how far the
    prior has shrunk them.

    Args:
        run: of this task, longer than its warm-up.
        output: a file to write (its ending says the format); default none.

    Returns:
        The matplotlib Figure.

    Raises:
        ValueError: for a run that has not left its warm-up.

    Example:
        >>> draw(run, "effects.png")  # doctest: +SKIP

    Reference: Sharma et al., arXiv:2310.13548, figure 5.
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    groups = task.tree(run.rows)
    if "posterior" not in groups:
        raise ValueError(f"run {run.id} has not left its warm-up: nothing to draw")
    found = effects(groups["posterior"]["coefficients"].load())
    height = 1.2 + 0.26 * found.sizes["feature"]
    figure, axes = plt.subplots(figsize=(7, height), layout="constrained")
    intervals(axes, found)
    if (truth := planted_effects(task)) is not None:
        at = truth.sel(feature=found["feature"]).values * 100
        circles = {"mfc": "none", "mec": "k", "ms": 6, "zorder": 3, "label": "planted"}
        axes.plot(at, np.arange(len(at)), "o", **circles)
    axes.legend(loc="lower right", fontsize="small")
    axes.set_title(f"preferences {run.id}: Laplace prior, b = {task.scale:g}", size=10)
    if output is not None:
        figure.savefig(output, dpi=120)
        plt.close(figure)
    return figure


def intervals(axes: Any, found: xr.DataArray) -> None:
    """Quantiles (feature, quantile) as points with bars, the first feature on top."""
    percent = 100 * found.values
    y = np.arange(len(percent))
    low, lower, middle, upper, high = percent.T
    axes.axvline(50, color="0.6", lw=1, zorder=0)
    axes.hlines(y, low, high, color="C0", lw=1.2, label="95 % of the posterior")
    axes.hlines(y, lower, upper, color="C0", lw=4, label="50 %")
    axes.plot(middle, y, "o", color="C0", mec="w", ms=6, label="median")
    axes.set_yticks(y, found["feature"].values)
    axes.set_ylim(len(y) - 0.4, -0.6)
    axes.set_xlabel("a response with more of this is preferred (%), all else equal")
    axes.grid(axis="x", alpha=0.3)


def planted_effects(task: Preferences) -> xr.DataArray | None:
    """σ of the planted coefficients, sums included; None where they are unknown."""
    import xarray as xr

    table = task.table
    if table.planted is None:
        return None
    names = {"feature": list(table.features)}
    return probabilities(with_sums(xr.DataArray(table.planted, names, ("feature",))))
