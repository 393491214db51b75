"""Plots of a run: the effect of every feature.

import heliostat as hs
from heliostat_tasks.preferences.plots import plot_effects

plot_effects(hs.open("0ed4b8379459a924"), "effects.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heliostat.answer import warnings_of
from heliostat.results.figures import save_figure, title
from heliostat_tasks.preferences.effects import effects, probabilities, with_sums
from heliostat_tasks.preferences.tables import Table

if TYPE_CHECKING:
    import xarray as xr

    from heliostat import Run


def plot_effects(run: Run, output: str | None = None) -> Any:
    """Plot σ(α) of every feature: posterior median, central 50 % and 95 %, sorted.

    On a synthetic set, circles show the known coefficients: their distance from the
    median shows how far the prior shrinks them.

    Args:
        run: a run of this task, longer than its warm-up.
        output: a file to write, in the format of its ending; default none.

    Returns:
        The matplotlib Figure.

    Raises:
        ValueError: for a run that is still in its warm-up.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.preferences import Preferences
        >>> task = Preferences(pairs=100, chains=2, warmup=20)
        >>> run = hs.run(task, steps=40, on="here")
        >>> figure = plot_effects(run, "effects.png")
        >>> figure.axes[0].get_title().split(": ")[1]
        'Laplace prior, b = 0.01'

    Reference: Sharma et al., arXiv:2310.13548, figure 5.
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    groups = task.tree(run.rows)
    if "posterior" not in groups:
        raise ValueError(f"run {run.id} has not left its warm-up: nothing to draw")
    quantiles = effects(groups["posterior"]["coefficients"].load())
    height = 1.2 + 0.26 * quantiles.sizes["feature"]
    figure, axes = plt.subplots(figsize=(7, height), layout="constrained")
    plot_intervals(axes, quantiles)
    if (truth := true_effects(task.table)) is not None:
        percent = truth.sel(feature=quantiles["feature"]).values * 100
        circles: dict[str, Any] = {
            "mfc": "none",
            "mec": "k",
            "ms": 6,
            "zorder": 3,
            "label": "planted",
        }
        axes.plot(percent, np.arange(len(percent)), "o", **circles)
    axes.legend(loc="lower right", fontsize="small")
    about = f"preferences {run.id}: Laplace prior, b = {task.scale:g}"
    title(axes, about, warnings_of(run.headline))
    if output is not None:
        save_figure(figure, output, dpi=120)
        plt.close(figure)
    return figure


def plot_intervals(axes: Any, quantiles: xr.DataArray) -> None:
    """Plot quantiles (feature, quantile) as points with bars, from the top down."""
    percent = 100 * quantiles.values
    y = np.arange(len(percent))
    low, lower, middle, upper, high = percent.T
    axes.axvline(50, color="0.6", lw=1, zorder=0)
    axes.hlines(y, low, high, color="C0", lw=1.2, label="95 % of the posterior")
    axes.hlines(y, lower, upper, color="C0", lw=4, label="50 %")
    axes.plot(middle, y, "o", color="C0", mec="w", ms=6, label="median")
    axes.set_yticks(y, quantiles["feature"].values)
    axes.set_ylim(len(y) - 0.4, -0.6)
    axes.set_xlabel("a response with more of this is preferred (%), all else equal")
    axes.grid(axis="x", alpha=0.3)


def true_effects(table: Table) -> xr.DataArray | None:
    """σ of a synthetic table's coefficients, with their sums; None for real data."""
    import xarray as xr

    if table.coefficients is None:
        return None
    coords = {"feature": list(table.features)}
    alpha = xr.DataArray(table.coefficients, coords, ("feature",))
    return probabilities(with_sums(alpha))
