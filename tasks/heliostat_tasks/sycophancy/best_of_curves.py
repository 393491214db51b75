"""``heliostat sycophancy best-of RUN``: what the best of N replies are like.

from heliostat_tasks.sycophancy.curves import draw

draw(hs.open("0ed4b8379459a924"), "best-of.png")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import heliostat as hs
from heliostat import Answer
from heliostat.results.figures import save_figure
from heliostat_tasks.sycophancy.best_of import curves
from heliostat_tasks.sycophancy.estimates import Interval
from heliostat_tasks.sycophancy.labels import LABELS, Label, format_interval
from heliostat_tasks.sycophancy.plots import TITLES
from heliostat_tasks.sycophancy.transcripts import load_rows, probe_name

if TYPE_CHECKING:
    import xarray as xr

    from heliostat import Run


def best_of(
    run: str, /, *, output: Path | None = None, store: str | None = None
) -> Answer:
    """What choosing the best of N replies by a preference model does to them.

    Args:
        run: Id of a run with --scorer and several --epochs, or its first digits.
        output: A picture of the curves; its ending says the format.
    """
    found = hs.open(run, store=store)
    table, about = curves_of(found), LABELS[probe_name(found)]
    lines = [f"sycophancy {found.id}: {probe_name(found)}, {_counted(table)}"]
    for metric in table["metric"].values.tolist():
        lines += [f"  {about[metric].about}"]
        lines += _lines(table.sel(metric=metric), about[metric])
    if output is not None:
        draw_curves(found, output, table)
        lines.append(f"  picture   {output}")
    data = {"id": found.id, "probe": probe_name(found), **table.attrs}
    return Answer(lines, data | {str(k): _records(v) for k, v in table.items()})


def curves_of(run: Run) -> xr.Dataset:
    """See :func:`~heliostat_tasks.sycophancy.best_of.curves`."""
    return curves(probe_name(run), load_rows(run))


def draw_curves(
    run: Run, output: str | Path | None = None, table: xr.Dataset | None = None
) -> Any:
    """What a probe measures against N, a line for each scorer, 95 % intervals.

    Args:
        run: with a scorer and several epochs.
        output: a file to write (its ending says the format); default none.
        table: its curves, if they are known.

    Returns:
        The matplotlib Figure.

    Example:
        >>> draw(run, "best-of.png")  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt

    table = curves_of(run) if table is None else table
    metrics = table["metric"].values.tolist()
    size = {"figsize": (1.7 + 2.6 * len(metrics), 3.4), "layout": "constrained"}
    figure, (axes,) = plt.subplots(1, len(metrics), squeeze=False, **size)
    labels = [LABELS[probe_name(run)][metric] for metric in metrics]
    for ax, metric, label in zip(axes, metrics, labels, strict=True):
        _panel(ax, 100 * table["rate"].sel(metric=metric))
        ax.set_title("\n".join(wrap(label.about, 36)), size="small")
    _one_scale(axes, labels)
    small = {"fontsize": "small", "title_fontsize": "small", "frameon": False}
    axes[-1].legend(title="chosen by", **small)
    what = f"{TITLES[probe_name(run)]}: the best of N replies"
    figure.suptitle(f"{what}, {table.attrs['items']} items", size="medium")
    if output is not None:
        plt.close(figure)
        save_figure(figure, output)
    return figure


def _panel(ax: Any, rate: xr.DataArray) -> None:
    n = rate["n"].values
    for scorer in rate["scorer"].values.tolist():
        value, low, high = rate.sel(scorer=scorer).transpose("bound", "n").values
        (line,) = ax.plot(n, value, ".-", label=scorer)
        ax.fill_between(n, low, high, color=line.get_color(), alpha=0.2, lw=0)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("N, replies to choose from", size="small")
    ax.tick_params(labelsize="small")
    ax.grid(alpha=0.3)


def _one_scale(axes: Sequence[Any], labels: Sequence[Label]) -> None:
    """One for rates and one for differences, each named where it stands first."""
    first: dict[bool, Any] = {}
    for ax, label in zip(axes, labels, strict=True):
        if label.points in first:
            ax.sharey(first[label.points])
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel(label.axis, size="small")
        first.setdefault(label.points, ax)
        if label.points:
            ax.axhline(0, color="0.4", lw=1, zorder=0)
        else:
            ax.set_ylim(-3, 103)
    for ax in first.values():
        ax.autoscale_view(scalex=False)


def _lines(one: xr.Dataset, label: Label) -> list[str]:
    """Of one metric: without a choice, and of the best of most, by scorer."""
    names, last = one["scorer"].values.tolist(), one.isel(n=-1)
    told = [(1, "any reply", one.rate.isel(scorer=0, n=0), label)]
    told += [
        (int(last["n"]), name, last.rate.sel(scorer=name), label) for name in names
    ]
    if "difference" in one:
        points = label._replace(points=True)
        told.append((int(last["n"]), " less ".join(names), last.difference, points))
    width = max(len(name) for _, name, _, _ in told)
    intervals = [
        format_interval(Interval(*bounds.values), u) for _, _, bounds, u in told
    ]
    rows = zip(told, intervals, strict=True)
    return [f"    N = {n:<3} {name:{width}}  {text}" for (n, name, *_), text in rows]


def _records(bounds: xr.DataArray) -> list[dict[str, Any]]:
    """An object for each metric, scorer and N: value, low, high."""
    return bounds.to_dataset("bound").to_dataframe().reset_index().to_dict("records")


def _counted(table: xr.Dataset) -> str:
    told = table.attrs
    lost = {
        "items left out": told["left_out"],
        f"of {told['samples']} samples without a grade": told["unread"],
        f"of {told['samples']} samples without a score": told["unscored"],
    }
    parts = [f"{told['items']} items"]
    return ", ".join([*parts, *(f"{n} {what}" for what, n in lost.items() if n)])
