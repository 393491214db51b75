"""What is printed of a sweep: a line per cell, the best trial, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from heliostat.answer import Answer
from heliostat.cli.format import INTERRUPTED, to_json

if TYPE_CHECKING:
    from heliostat.sweeps.cells import Cell
    from heliostat.sweeps.preview import Preview
    from heliostat.sweeps.results import Sweep
    from heliostat.sweeps.trials import Trial

SHOWN = 24
"""Cells in the table for a person; ``--json`` has all."""


def preview_answer(found: Preview) -> Answer:
    """What a sweep would be, and how much of it is stored already."""
    data = {
        "id": found.id,
        "task": found.plan.identity["task"],
        "status": "new" if found.computed or found.unknown else "complete",
        "computed": found.computed,
        "reused": found.reused,
        "states": found.states,
        "headline": {},
        "packs": found.packs,
        "proposed_later": found.unknown,
        "cells": [to_json(line) for line in found.table.to_dict("records")],
        "path": found.path,
    }
    later = found.unknown and f"; at most {found.unknown} follow from what is found"
    counts = f"{found.computed} would be computed, {found.reused} reused{later or ''}"
    lines: list[Any] = [f"sweep {found.id}: {counts}"]
    lines += [_table(found)] if found.cells else []
    lines += [f"  {line}" for line in _together(found)]
    return Answer([*lines, f"  would be kept in {found.path}"], data)


def _together(found: Preview) -> list[str]:
    """How many cells go into each pack, and how many are runs of their own."""
    packed = [len(pack) for pack in found.packs]
    alone = len(found.groups) - len(packed)
    lines = [f"packs   of {', '.join(map(str, packed))} cells"] if packed else []
    return lines + ([f"alone   {alone} cells"] if alone else [])


def sweep_answer(found: Sweep) -> Answer:
    """How the cells came out; the headline is of the best trial, by the mean over its
    seeds, or of all cells on average."""
    data = {
        "id": found.id,
        "task": found.plan.identity["task"],
        "status": _status(found.states),
        "computed": found.computed,
        "reused": found.reused,
        "states": found.states,
        "retried": len(found.retries),
        **_best(found),
        "cells": [to_json(line) for line in found.table.to_dict("records")],
        "path": found.path,
    }
    told = ", ".join(f"{count} {state}" for state, count in found.states.items())
    counts = f"{found.computed} computed, {found.reused} reused"
    counts += f", {len(found.retries)} retried" if found.retries else ""
    lines: list[Any] = [f"sweep {found.id}: {told}; {counts}", _table(found)]
    lines += [f"  {line}" for line in [*_best_told(found), *_failures(found)]]
    lines.append(f"  stored  {found.path}")
    return Answer(lines, data, _exit(found.states))


def _best(found: Sweep) -> dict[str, Any]:
    """The headline, and whose it is."""
    best = _first(found)
    average = {} if found.plan.metrics else found.average()
    headline = best.headline if best else average
    return {
        "headline": {n: estimate._asdict() for n, estimate in headline.items()},
        "best": best and {"values": best.values, "runs": best.runs},
    }


def _first(found: Sweep) -> Trial | None:
    """The best, if it is known what is good, and any trial has found it."""
    return next(iter(found.ranked()), None) if found.plan.metrics else None


def _best_told(found: Sweep) -> list[str]:
    """Which trial is the best, or why none is."""
    from heliostat.sweeps.trials import why_none

    if not found.plan.metrics:
        return []
    name = found.plan.metrics[0].name
    if not (best := _first(found)):
        return [f"best    none: {why_none(found, name)}"]
    if len(best.cells) == 1:
        return [f"best    {best}  run {best.runs[0]}"]
    mean = best.headline[name]
    return [f"best    {best}  {name} {mean}, {mean.source}"]


def _table(found: Sweep) -> Table:
    """A line per cell; those of the best trial first, where it is known which it is."""
    metric = found.plan.metrics[0].name if found.plan.metrics else None
    means = _means(found) if len(found.plan.seeds) > 1 else {}
    table = Table(box=None)
    names = list(found.coordinates(found.cells[0])) if found.cells else []
    more = [f"{metric}, mean over seeds"] if means else []
    for name in [*names, "run", "state", metric or "headline", *more]:
        table.add_column(name)
    cells = _in_order(found)
    for cell in cells[:SHOWN]:
        values, id_ = found.coordinates(cell).values(), cell.spec.id
        told = [id_, found.outcomes[id_].state, _told(found, id_, metric)]
        more = [means.get(id_, "-")] if means else []
        table.add_row(*map(Text, [*map(str, values), *told, *more]))
    if len(cells) > SHOWN:
        table.add_row(Text(f"… {len(cells) - SHOWN} more"))
    return table


def _in_order(found: Sweep) -> list[Cell]:
    """The cells, trial by trial, the best first; behind them those without a number.
    Of a population the last generation comes first."""
    best = [c for t in found.ranked() for c in t.cells] if found.plan.metrics else []
    first = {id(cell) for cell in best}
    cells = [*best, *(cell for cell in found.cells if id(cell) not in first)]
    population = "generation" in found.dims
    return sorted(cells, key=lambda c: -c.place[1]) if population else cells


def _means(found: Sweep) -> dict[str, str]:
    """What is compared: the mean of the trial that a run belongs to, by its id."""
    if not found.plan.metrics:
        return {}
    name = found.plan.metrics[0].name
    return {
        run: str(trial.headline[name]) for trial in found.ranked() for run in trial.runs
    }


def _told(found: Sweep, run: str, metric: str | None) -> str:
    """The number that was asked for, or else the first that a run found itself."""
    estimates = found.headlines.get(run, {})
    if metric:
        return str(estimates.get(metric, "-"))
    own = [f"{n} {e}" for n, e in estimates.items() if e.source == "this run"]
    return next(iter(own), "-")


def _failures(found: Sweep) -> list[str]:
    """What failed, was stopped, or came out once it was tried again, and why."""
    lines = []
    for cell in found.cells:
        state, retries = found.outcomes[cell.spec.id].state, found.retries
        word = state if state in ("failed", "stopped") else "retried"
        if word == state or cell.spec.id in retries:
            lines.append(f"{word:8}{cell}: {found.reason(cell)}")
    return lines[:SHOWN]


def _status(states: Mapping[str, int]) -> str:
    unlike = ("failed", "stopped", "waiting")
    return next((state for state in unlike if states.get(state)), "complete")


def _exit(states: Mapping[str, int]) -> int:
    return {"failed": 1, "stopped": INTERRUPTED}.get(_status(states), 0)
