"""The verb ``sweep``: what is gone over is typed, its cells come back as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.answers import INTERRUPTED, plain
from heliostat.cli.fields import NOTHING, Fields
from heliostat.cli.making import class_of, make
from heliostat.cli.options import (
    COUNT,
    LOCAL,
    PLAIN,
    Dry,
    TaskName,
    What,
    Where,
    option,
)
from heliostat.errors import RequestError

if TYPE_CHECKING:
    from heliostat.sweeps.preview import Preview
    from heliostat.sweeps.results import Sweep

SHOWN = 24
"""Cells in the table for a person; ``--json`` has all."""

Over = Annotated[
    tuple[str, ...],
    option(
        "FIELD=VALUE,VALUE or, for a search, FIELD=LOW..HIGH[:log]; also seed=0,1,2.",
        consume_multiple=True,
    ),
]
Several = Annotated[
    tuple[str, ...], Parameter(consume_multiple=True, show_default=False)
]


@Parameter(name="*")
@dataclass(frozen=True)
class Search:
    """Which cells there are."""

    search: str = "grid"
    """grid; random, sobol draw; tpe, gp, cmaes, nsga2 learn; hypergradient descends."""
    trials: Annotated[int | None, COUNT] = None
    """How many are drawn."""
    search_seed: int = 0
    """Of the drawing."""
    metric: Several = ()
    """A number of the headline, or several."""
    mode: Several = ("min",)
    """min or max, for each metric or all; default min."""


@Parameter(name="*")
@dataclass(frozen=True)
class Schedule:
    """How far each of them comes."""

    scheduler: str | None = None
    """asha prunes the worst at rungs; pbt breeds a population of trials."""
    grace: Annotated[int | None, COUNT] = None
    """Steps before the first rung, or of a segment; default the stride."""
    factor: int | None = None
    """Between one rung and the next; default 3."""


GRID, WHOLE = Search(), Schedule()
"""Every combination, each to its length."""


def sweep(
    task: TaskName,
    /,
    *,
    over: Over,
    fields: Annotated[Fields, Parameter(parse=False)] = NOTHING,
    what: What = PLAIN,
    where: Where = LOCAL,
    search: Search = GRID,
    schedule: Schedule = WHOLE,
    retries: Annotated[
        int, option("Times that a cell is tried again that raised.")
    ] = 0,
    dry_run: Dry = False,
) -> Answer:
    """Compute a task over values of its fields; what is stored is not computed again.

    `heliostat sweep TASK --help` lists the fields of a task.
    """
    from heliostat.sweeps.preview import Preview
    from heliostat.sweeps.words import typed

    made, steps = make(task, fields, what)
    axes, how = typed(class_of(task), over), {**vars(search), **vars(schedule)}
    _check_once(axes, fields)
    runs = {"steps": steps, "seed": what.seed, "until": what.until, "x64": what.x64}
    how |= {**runs, "retries": retries, "dry_run": dry_run}
    if not dry_run:
        where.settle()
    try:
        found = hs.sweep(made, over=axes, **how, **where.options)
    except KeyboardInterrupt as error:
        kept = "what was computed is kept, the same line goes on from there"
        raise KeyboardInterrupt(f"interrupted; {kept}") from error
    return planned(found) if isinstance(found, Preview) else described(found)


def _check_once(axes: Mapping[str, Any], fields: Fields) -> None:
    for name in {*axes} & {*fields}:
        told = f"{name}: it is given as a field, too, {fields[name]!r}"
        raise RequestError(f"over {told}; leave one of the two out")


def planned(found: Preview) -> Answer:
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
        "cells": [plain(line) for line in found.table.to_dict("records")],
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


def described(found: Sweep) -> Answer:
    """How the cells came out; the headline is of the best, or of all on average."""
    best = found.best() if found.plan.metrics else None
    headline = found.headlines[best.spec.id] if best else found.average()
    data = {
        "id": found.id,
        "task": found.plan.identity["task"],
        "status": _status(found.states),
        "computed": found.computed,
        "reused": found.reused,
        "states": found.states,
        "headline": {n: estimate._asdict() for n, estimate in headline.items()},
        "best": best and {"run": best.spec.id, "values": best.values},
        "cells": [plain(line) for line in found.table.to_dict("records")],
        "path": found.path,
    }
    told = ", ".join(f"{count} {state}" for state, count in found.states.items())
    lines: list[Any] = [
        f"sweep {found.id}: {told}; {found.computed} computed, {found.reused} reused",
        _table(found),
    ]
    lines += [f"  best    {best}  run {best.spec.id}"] if best else []
    lines += [f"  failed  {line}" for line in _failures(found)]
    lines.append(f"  stored  {found.path}")
    return Answer(lines, data, _exit(found.states))


def _table(found: Sweep) -> Table:
    """A line per cell, the best first where it is known which they are."""
    metric = found.plan.metrics[0].name if found.plan.metrics else None
    table = Table(box=None)
    names = list(found.called(found.cells[0])) if found.cells else []
    for name in [*names, "run", "state", metric or "headline"]:
        table.add_column(name)
    cells = found.ordered() if metric else found.cells
    if found.plan.bred:  # the last generation first
        cells = sorted(cells, key=lambda cell: -cell.place[1])
    for cell in cells[:SHOWN]:
        values = [str(value) for value in found.called(cell).values()]
        id_ = cell.spec.id
        told = [id_, found.outcomes[id_].state, _told(found, id_, metric)]
        table.add_row(*map(Text, [*values, *told]))
    if len(cells) > SHOWN:
        table.add_row(Text(f"… {len(cells) - SHOWN} more"))
    return table


def _told(found: Sweep, run: str, metric: str | None) -> str:
    """The number that was asked for, or else the first that a run found itself."""
    estimates = found.headlines.get(run, {})
    if metric:
        return str(estimates.get(metric, "-"))
    own = [f"{n} {e}" for n, e in estimates.items() if e.source == "this run"]
    return next(iter(own), "-")


def _failures(found: Sweep) -> list[str]:
    lines = []
    for cell in found.cells:
        outcome = found.outcomes[cell.spec.id]
        if outcome.state in ("failed", "stopped"):
            lines.append(f"{cell}: {outcome.reason}")
    return lines[:SHOWN]


def _status(states: Mapping[str, int]) -> str:
    return next((s for s in ("failed", "stopped") if states.get(s)), "complete")


def _exit(states: Mapping[str, int]) -> int:
    return {"failed": 1, "stopped": INTERRUPTED}.get(_status(states), 0)
