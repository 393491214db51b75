"""``heliostat sycophancy VERB``: read, plot and compare what assistants said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import heliostat as hs
from heliostat import Answer
from heliostat_tasks.sycophancy.best_of_curves import best_of
from heliostat_tasks.sycophancy.labels import LABELS, Label, format_interval
from heliostat_tasks.sycophancy.transcripts import probe_name

if TYPE_CHECKING:
    from heliostat_tasks.sycophancy.compare import Comparison


def view(*runs: str, output: Path, store: str | None = None) -> Answer:
    """Write all conversations of runs as one page, to be read in any browser.

    The page needs no network and allows none; its filters are in its address.

    Args:
        runs: Ids of runs, or their first digits.
        output: The file to write, such as transcripts.html.
    """
    from heliostat_tasks.sycophancy import viewer

    found = _opened(runs, store)
    size = viewer.write(found, output)
    names = [run.id for run in found]
    lines = [f"{output}: {', '.join(names)}, {size / 1e6:.3g} MB"]
    return Answer(lines, {"path": str(output), "runs": names, "bytes": size})


def plot(*runs: str, output: Path, store: str | None = None) -> Answer:
    """Draw the rates of runs with their intervals: a panel a probe, a colour each.

    Args:
        runs: Ids of runs, of any probes and assistants.
        output: The file to write; its ending says the format.
    """
    from heliostat_tasks.sycophancy import plots

    plots.draw_rates(_opened(runs, store), output)
    return Answer([str(output)], {"path": str(output)})


def compare(first: str, second: str, /, *, store: str | None = None) -> Answer:
    """Hold two assistants together on the items that both were asked: each rate, and
    the difference, paired item by item.

    Args:
        first: Id of a run, or its first digits.
        second: Id of another run of the same probe.
    """
    from heliostat_tasks.sycophancy.compare import compare_runs

    runs = _opened((first, second), store)
    if len(runs) < 2:
        raise hs.RequestError(f"{first} and {second}: expected two different runs")
    found = compare_runs(*runs)
    lines = [
        _table(found, LABELS[probe_name(runs[0])]),
        f"{found.items} items; 95 % intervals, paired by item; pp: percentage points",
        *(f"left out: {lost}" for lost in found.left_out),
    ]
    return Answer(lines, _data(found))


def _opened(runs: tuple[str, ...], store: str | None) -> list[hs.Run]:
    """Each run once."""
    if not runs:
        raise hs.RequestError("expected the id of a run; `heliostat runs` lists them")
    found = {run.id: run for run in (hs.open(run, store=store) for run in runs)}
    return [*found.values()]


def _table(found: Comparison, about: Mapping[str, Label]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("rate", *found.names, "difference", "of"):
        table.add_column(name, overflow="fold")
    for name, (one, other, gap) in found.rates.items():
        label = about[name]
        told = format_interval(one, label), format_interval(other, label)
        difference = format_interval(gap, label._replace(points=True))
        table.add_row(name, *told, difference, label.about)
    return table


def _data(found: Comparison) -> dict[str, Any]:
    places = ("first", "second", "difference")
    return {
        "assistants": found.names,
        "items": found.items,
        "left_out": found.left_out,
        "rates": {
            name: {
                place: one._asdict() for place, one in zip(places, three, strict=True)
            }
            for name, three in found.rates.items()
        },
    }


VERBS: Mapping[str, Callable[..., Answer]] = {
    "view": view,
    "plot": plot,
    "compare": compare,
    "best-of": best_of,
}
