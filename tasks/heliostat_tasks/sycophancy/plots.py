"""Plots of runs: every rate of every probe, for several assistants side by side.

import heliostat as hs
from heliostat_tasks.sycophancy.plots import draw_rates

draw_rates([hs.open("6e47b443dc2151e4"), hs.open("170284684930fce9")], "rates.png")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import heliostat as hs
from heliostat.results.figures import save_figure
from heliostat_tasks.sycophancy import labels, rates
from heliostat_tasks.sycophancy.estimates import Interval
from heliostat_tasks.sycophancy.labels import LABELS, Label
from heliostat_tasks.sycophancy.probes import PROBES
from heliostat_tasks.sycophancy.transcripts import load_rows, probe_name

TITLES = {
    "feedback": "Feedback",
    "are_you_sure": "“Are you sure?”",
    "answer": "Answers",
    "mimicry": "Mimicry",
}
"""Probes in the order of the paper's figures 1 to 4."""

LIGHT = 0.4
"""Opacity of controls."""


class MeasuredRun(NamedTuple):
    """Name, colour and rates of one run."""

    name: str
    colour: str
    items: int
    rates: Mapping[str, Interval]


def draw_rates(runs: Sequence[hs.Run], output: str | Path | None = None) -> Any:
    """Plot rates with 95 % intervals: a panel for each probe, a colour for each run.

    Differences of rates are below the rates, in percentage points.  Controls are drawn
    lighter.

    Args:
        runs: runs of any probes and assistants.
        output: a file to write (its ending gives the format); default none.

    Returns:
        The matplotlib Figure.

    Raises:
        heliostat.RequestError: for a run of another task, or one without any turn; or
            if the file cannot be written.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.sycophancy import Sycophancy
        >>> run = hs.run(Sycophancy(limit=4), on="here")
        >>> figure = draw_rates([run], "rates.png")
        >>> len(figure.axes)  # rates, and their differences
        2

    Reference: Sharma et al., arXiv:2310.13548, figures 1 to 4.
    """
    import matplotlib.pyplot as plt

    panels = _measured(runs)
    columns = _columns(panels)
    tallest = max(sum(_height(panels, probe) for probe in each) for each in columns)
    size = (7.5 * len(columns), tallest + 0.8)
    figure: Any = plt.figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.08)
    parts = figure.subfigures(1, len(columns), squeeze=False)[0]
    for part, probes in zip(parts, columns, strict=True):
        _column(part, {probe: panels[probe] for probe in probes})
    _legend(figure, panels)
    if output is not None:
        plt.close(figure)
        save_figure(figure, output)
    return figure


def _measured(runs: Sequence[hs.Run]) -> dict[str, list[MeasuredRun]]:
    """Measure the runs of each probe; an assistant has one colour in all probes."""
    datasets = [load_rows(run) for run in runs]
    names = labels.assistant_names(runs)
    colours = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(names))}
    by_probe: dict[str, list[MeasuredRun]] = {probe: [] for probe in TITLES}
    for run, rows, name in zip(runs, datasets, names, strict=True):
        probe = probe_name(run)
        estimates = rates.measure_rates(PROBES[probe], rows)
        measured = MeasuredRun(name, colours[name], rows.sizes["item"], estimates)
        by_probe[probe].append(measured)
    return {probe: measured for probe, measured in by_probe.items() if measured}


def _kinds(probe: str) -> list[dict[str, Label]]:
    """Return the labels of a probe's rates, and those of its differences."""
    kinds = [
        {name: label for name, label in LABELS[probe].items() if label.points == points}
        for points in (False, True)
    ]
    return [kind for kind in kinds if kind]


def _height(panels: Mapping[str, Sequence[MeasuredRun]], probe: str) -> float:
    return 0.3 + sum(0.6 + _room(kind, panels[probe]) for kind in _kinds(probe))


def _room(kind: Mapping[str, Label], measured: Sequence[MeasuredRun]) -> float:
    """Return the height for the rows of some rates, in inches."""
    return len(kind) * (0.2 + 0.12 * len(measured))


def _columns(panels: Mapping[str, Sequence[MeasuredRun]]) -> list[list[str]]:
    """Distribute probes over two columns of about the same height."""
    heights = {probe: _height(panels, probe) for probe in panels}
    columns: list[list[str]] = [[], []]
    for probe in sorted(heights, key=lambda probe: -heights[probe]):
        min(columns, key=lambda each: sum(heights[p] for p in each)).append(probe)
    order = [*TITLES]
    filled = [sorted(each, key=order.index) for each in columns if each]
    return sorted(filled, key=lambda each: order.index(each[0]))


def _column(part: Any, panels: Mapping[str, Sequence[MeasuredRun]]) -> None:
    """Draw the axes of a column: for each probe rates, then differences."""
    kinds = [(probe, kind) for probe in panels for kind in _kinds(probe)]
    rooms = [_room(kind, panels[probe]) for probe, kind in kinds]
    axes = part.subplots(len(kinds), 1, height_ratios=rooms, squeeze=False)[:, 0]
    titled = set()
    for ax, (probe, kind) in zip(axes, kinds, strict=True):
        _rows(ax, kind, panels[probe])
        if probe not in titled:
            ax.set_title(_title(probe, panels[probe]), size="medium", weight="bold")
        titled.add(probe)


def _title(probe: str, measured: Sequence[MeasuredRun]) -> str:
    items = sorted({run.items for run in measured})
    count = "–".join(map(str, [items[0], items[-1]][: len(items)]))
    return f"{TITLES[probe]}: {count} items"


def _rows(
    axes: Any, kind: Mapping[str, Label], measured: Sequence[MeasuredRun]
) -> None:
    """Draw a row for each rate, with a point and its interval for each run."""
    y = np.arange(len(kind))
    step = 0.7 / len(measured)
    for place, run in enumerate(measured):
        shift = step * (place - (len(measured) - 1) / 2)
        for row, (name, label) in enumerate(kind.items()):
            _point(axes, row + shift, run.rates[name], run.colour, label)
    first = next(iter(kind.values()))
    axes.set_yticks(y, [label.about for label in kind.values()], size="small")
    axes.set_ylim(len(kind) - 0.4, -0.6)
    axes.set_xlabel(first.axis, size="small")
    axes.tick_params(axis="x", labelsize="small")
    axes.grid(axis="x", alpha=0.3)
    if first.points:
        axes.axvline(0, color="0.4", lw=1, zorder=0)
    else:
        axes.set_xlim(-3, 103)


def _point(axes: Any, y: float, rate: Interval, colour: str, label: Label) -> None:
    strength = LIGHT if label.control else 1.0
    value, low, high = (100 * edge for edge in rate)
    axes.hlines(y, low, high, color=colour, lw=2, alpha=strength)
    axes.plot(value, y, "o", color=colour, mec="w", ms=6, alpha=strength)


def _legend(figure: Any, panels: Mapping[str, Sequence[MeasuredRun]]) -> None:
    """Draw the legend. Names come from outside: matplotlib must not parse math."""
    from matplotlib.lines import Line2D

    runs = [run for measured in panels.values() for run in measured]
    shown = {run.name: run.colour for run in runs}
    lines = [Line2D([], [], color=c, marker="o", mec="w", lw=2) for c in shown.values()]
    lines.append(Line2D([], [], color="0.4", marker="o", mec="w", lw=2, alpha=LIGHT))
    names = [*shown, "lighter: controls"]
    width = 13 * figure.get_figwidth() / (max(map(len, names)) + 6)
    place = {"loc": "outside lower center", "ncols": int(np.clip(width, 1, 4))}
    legend = figure.legend(lines, names, fontsize="small", frameon=False, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)
