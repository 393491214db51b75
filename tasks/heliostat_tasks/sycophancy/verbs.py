"""Commands ``heliostat sycophancy VERB``: view, plot and compare runs."""

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
    """Write all conversations of some runs as one page for any browser.

    The page needs no network and makes no requests; its filters are in its address.

    Args:
        runs: Ids of runs, or their first digits.
        output: The file to write, such as transcripts.html.
    """
    from heliostat_tasks.sycophancy import viewer

    opened = _open_runs(runs, store)
    size = viewer.write(opened, output)
    ids = [run.id for run in opened]
    lines = [f"{output}: {', '.join(ids)}, {size / 1e6:.3g} MB"]
    return Answer(lines, {"path": str(output), "runs": ids, "bytes": size})


def plot(*runs: str, output: Path, store: str | None = None) -> Answer:
    """Plot the rates of runs with their intervals: a panel a probe, a colour each.

    Args:
        runs: Ids of runs, of any probes and assistants.
        output: The file to write; its ending gives the format.
    """
    from heliostat_tasks.sycophancy import plots

    plots.draw_rates(_open_runs(runs, store), output)
    return Answer([str(output)], {"path": str(output)})


def compare(first: str, second: str, /, *, store: str | None = None) -> Answer:
    """Compare two assistants on the same items: each rate, and the difference, paired
    item by item.

    Args:
        first: Id of a run, or its first digits.
        second: Id of another run of the same probe.
    """
    from heliostat_tasks.sycophancy.compare import compare_runs

    runs = _open_runs((first, second), store)
    if len(runs) < 2:
        raise hs.RequestError(f"{first} and {second}: expected two different runs")
    comparison = compare_runs(*runs)
    lines = [
        _table(comparison, LABELS[probe_name(runs[0])]),
        f"{comparison.items} items; 95 % intervals, paired by item; "
        "pp: percentage points",
        *(f"left out: {entry}" for entry in comparison.left_out),
    ]
    return Answer(lines, _data(comparison))


def _open_runs(ids: tuple[str, ...], store: str | None) -> list[hs.Run]:
    """Open each run once."""
    if not ids:
        raise hs.RequestError("expected the id of a run; `heliostat runs` lists them")
    by_id = {run.id: run for run in (hs.open(id_, store=store) for id_ in ids)}
    return [*by_id.values()]


def _table(comparison: Comparison, labels: Mapping[str, Label]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("rate", *comparison.names, "difference", "of"):
        table.add_column(name, overflow="fold")
    for name, (first, second, gap) in comparison.rates.items():
        label = labels[name]
        rates = format_interval(first, label), format_interval(second, label)
        difference = format_interval(gap, label._replace(points=True))
        table.add_row(name, *rates, difference, label.about)
    return table


def _data(comparison: Comparison) -> dict[str, Any]:
    return {
        "assistants": comparison.names,
        "items": comparison.items,
        "left_out": comparison.left_out,
        "rates": {
            name: {
                "first": first._asdict(),
                "second": second._asdict(),
                "difference": gap._asdict(),
            }
            for name, (first, second, gap) in comparison.rates.items()
        },
    }


VERBS: Mapping[str, Callable[..., Answer]] = {
    "view": view,
    "plot": plot,
    "compare": compare,
    "best-of": best_of,
}
