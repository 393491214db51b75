"""Plot of a report: memorisation of each segment, and distances of the replays."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from heliostat.results.figures import save_figure
from heliostat_tasks.provenance.verify.comparison import PER_TENSOR

EXACT = 1e-9
"""Position of a distance of zero."""

COLOURS = {"bitwise": "C2", "tolerance": "C0", "reject": "C3"}


def plot_report(report: xr.Dataset, output: str | None = None) -> Any:
    """Plot memorisation by segment and interval, and distances against ε.

    Args:
        report: report of ``heliostat provenance verify``, as in its ``report.nc``.
        output: a file to write, in the format of its ending; default none.

    Returns:
        The matplotlib Figure.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    _plot_memorisation(figure, axes[0], report)
    _plot_distances(axes[1], report)
    figure.suptitle(f"{report.attrs['verdict']}: {report.sizes['segment']} segments")
    if output is not None:
        save_figure(figure, output, dpi=120)
        plt.close(figure)
    return figure


def _plot_memorisation(figure: Any, axes: Any, report: xr.Dataset) -> None:
    """ΔM of a few records of each segment over each interval: honest is a diagonal."""
    axes.set(xlabel="interval between checkpoints", ylabel="records of segment")
    if "memorisation" not in report:
        axes.text(0.5, 0.5, "not looked at", ha="center", transform=axes.transAxes)
        return
    change = np.diff(report["memorisation"].values, axis=0).T  # (shown, interval)
    if not np.isfinite(change).any():
        axes.text(0.5, 0.5, "nothing to compare", ha="center", transform=axes.transAxes)
        return
    most = float(np.nanpercentile(np.abs(change), 99)) or 1.0
    rows = report["shown"].values
    image = axes.pcolormesh(
        report["segment"].values,
        np.arange(len(rows)),
        change,
        cmap="RdBu_r",
        vmin=-most,
        vmax=most,
        shading="nearest",
    )
    ticks = np.unique(np.linspace(0, len(rows) - 1, 6).round().astype(int))
    axes.set_yticks(ticks, [str(rows[i]) for i in ticks])
    figure.colorbar(image, ax=axes, label="ΔM: memorised over the interval / nat")


def _plot_distances(axes: Any, report: xr.Dataset) -> None:
    """Distances of all weights, limit ε, and of the worst tensor, limit 10 ε."""
    epsilon = report.attrs["epsilon"]
    whole = report["distance"].sel(tensor="weights").values
    worst = report["distance"].max("tensor").values
    kinds = report["kind"].values.astype(str)
    axes.set(yscale="log", ylim=(EXACT / 3, 1e2))  # equal distances have no range
    for kind, colour in COLOURS.items():
        mask = kinds == kind
        segments = report["segment"].values[mask]
        series = ((whole, colour, kind), (worst, "none", "worst tensor"))
        for distance, fill, name in series:
            finite = np.where(np.isfinite(distance[mask]), distance[mask], 1e3)
            label = name if fill == colour or kind == "reject" else None
            style = {"color": colour, "mfc": fill, "label": label, "ms": 4}
            axes.plot(segments, np.maximum(finite, EXACT), "o", **style)
    axes.axhline(epsilon, color="k", ls="--", lw=1, label=f"ε = {epsilon:g}")
    axes.axhline(PER_TENSOR * epsilon, color="k", ls=":", lw=1, label="10 ε, a tensor")
    axes.axhline(EXACT, color="0.7", lw=1)
    axes.text(0.99, EXACT * 1.15, "equal bits", ha="right", va="bottom", color="0.4")
    axes.texts[-1].set_transform(axes.get_yaxis_transform())
    axes.set(xlabel="segment", ylabel="distance of a replay, r")
    axes.legend(loc="upper right", fontsize="small")
