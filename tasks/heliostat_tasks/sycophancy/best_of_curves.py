"""Command and plot of the best of N: ``heliostat sycophancy best-of RUN``.

from heliostat_tasks.sycophancy.best_of_curves import draw_curves

draw_curves(hs.open("0ed4b8379459a924"), "best-of.png")
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
    """Measure a probe on the best of N replies by the score of a preference model.

    Args:
        run: Id of a run with --scorer and several --epochs, or its first digits.
        output: A plot of the curves to write; its ending gives the format.
    """
    opened = hs.open(run, store=store)
    table, labels = curves_of(opened), LABELS[probe_name(opened)]
    probe = probe_name(opened)
    lines = [f"sycophancy {opened.id}: {probe}, {_summary(table)}"]
    for metric in table["metric"].values.tolist():
        lines += [f"  {labels[metric].about}"]
        lines += _lines(table.sel(metric=metric), labels[metric])
    if output is not None:
        draw_curves(opened, output, table)
        lines.append(f"  picture   {output}")
    data = {"id": opened.id, "probe": probe, **table.attrs}
    return Answer(lines, data | {str(k): _records(v) for k, v in table.items()})


def curves_of(run: Run) -> xr.Dataset:
    """Return :func:`~heliostat_tasks.sycophancy.best_of.curves` of a run.

    Args:
        run: with a scorer and several epochs.
    """
    return curves(probe_name(run), load_rows(run))


def draw_curves(
    run: Run, output: str | Path | None = None, table: xr.Dataset | None = None
) -> Any:
    """Plot each metric against N: one line for each scorer, with 95 % intervals.

    Args:
        run: with a scorer and several epochs.
        output: a file to write (its ending gives the format); default none.
        table: :func:`curves_of` the run, if it is known.

    Returns:
        The matplotlib Figure.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.sycophancy import Sycophancy
        >>> from pathlib import Path
        >>> _ = Path("scorer.py").write_text("def length(p, reply): return len(reply)")
        >>> fields = {"probe": "answer", "limit": 4, "epochs": 4}
        >>> task = Sycophancy(scorer=hs.Code("scorer.py:length"), **fields)
        >>> run = hs.run(task, on="here")
        >>> figure = draw_curves(run, "best-of.png")
        >>> figure.axes[0].get_xlabel()
        'N, replies to choose from'
    """
    import matplotlib.pyplot as plt

    table = curves_of(run) if table is None else table
    metrics = table["metric"].values.tolist()
    size: dict[str, Any] = {
        "figsize": (1.7 + 2.6 * len(metrics), 3.4),
        "layout": "constrained",
    }
    figure, (axes,) = plt.subplots(1, len(metrics), squeeze=False, **size)
    labels = [LABELS[probe_name(run)][metric] for metric in metrics]
    for ax, metric, label in zip(axes, metrics, labels, strict=True):
        _panel(ax, 100 * table["rate"].sel(metric=metric))
        ax.set_title("\n".join(wrap(label.about, 36)), size="small")
    _one_scale(axes, labels)
    small = {"fontsize": "small", "title_fontsize": "small", "frameon": False}
    axes[-1].legend(title="chosen by", **small)
    title = f"{TITLES[probe_name(run)]}: the best of N replies"
    figure.suptitle(f"{title}, {table.attrs['items']} items", size="medium")
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
    """Share one y scale among rates and one among differences; label the first axes."""
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


def _lines(table: xr.Dataset, label: Label) -> list[str]:
    """Return the lines of one metric: for N = 1, and for the largest N by scorer."""
    names, last = table["scorer"].values.tolist(), table.isel(n=-1)
    n = int(last["n"])
    rows = [(1, "any reply", table.rate.isel(scorer=0, n=0), label)]
    rows += [(n, name, last.rate.sel(scorer=name), label) for name in names]
    if "difference" in table:
        points = label._replace(points=True)
        rows.append((n, " minus ".join(names), last.difference, points))
    width = max(len(name) for _, name, _, _ in rows)
    return [
        f"    N = {n:<3} {name:{width}}  {_interval(bounds, unit)}"
        for n, name, bounds, unit in rows
    ]


def _interval(bounds: xr.DataArray, label: Label) -> str:
    return format_interval(Interval(*bounds.values), label)


def _records(bounds: xr.DataArray) -> list[dict[str, Any]]:
    """Return value, low and high as one record for each metric, scorer and N."""
    return bounds.to_dataset("bound").to_dataframe().reset_index().to_dict("records")


def _summary(table: xr.Dataset) -> str:
    counts = table.attrs
    missing = {
        "items left out": counts["left_out"],
        f"of {counts['samples']} samples without a grade": counts["unread"],
        f"of {counts['samples']} samples without a score": counts["unscored"],
    }
    parts = [f"{count} {what}" for what, count in missing.items() if count]
    return ", ".join([f"{counts['items']} items", *parts])
