"""Report on a sweep: a line per cell, the best trial, the failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from heliostat.answer import Answer
from heliostat.cli.format import INTERRUPTED, logs_lines, to_json

if TYPE_CHECKING:
    from heliostat.sweeps.cells import Cell
    from heliostat.sweeps.preview import Preview
    from heliostat.sweeps.results import Sweep
    from heliostat.sweeps.trials import Trial

MAX_ROWS = 24
"""Maximal number of cells in the printed table; ``--json`` has all cells."""


def preview_answer(sweep: Preview, until: str | None) -> Answer:
    """Describe the sweep that would be computed, and how much of it is stored."""
    data = {
        "id": sweep.id,
        "task": sweep.plan.identity["task"],
        "status": "new" if sweep.computed or sweep.unknown else "complete",
        "computed": sweep.computed,
        "reused": sweep.reused,
        "states": sweep.states,
        "headline": {},
        "packs": sweep.packs,
        "proposed_later": sweep.unknown,
        "cells": [to_json(line) for line in sweep.table.to_dict("records")],
        "path": sweep.path,
        **({"until": until} if until else {}),
    }
    later = sweep.unknown and f"; at most {sweep.unknown} depend on results"
    counts = f"{sweep.computed} would be computed, {sweep.reused} reused{later or ''}"
    lines: list[Any] = [f"sweep {sweep.id}: {counts}"]
    lines += [_table(sweep)] if sweep.cells else []
    lines += [f"  {line}" for line in _pack_lines(sweep)]
    lines += [f"  metric  {m.name}, {m.mode}" for m in sweep.plan.metrics]
    lines += [f"  until   {until}"] if until else []
    return Answer([*lines, f"  would be stored in {sweep.path}"], data)


def _pack_lines(sweep: Preview) -> list[str]:
    """Count the cells of each pack, and the cells outside packs."""
    packed = [len(pack) for pack in sweep.packs]
    single = len(sweep.groups) - len(packed)
    lines = [f"packs   of {', '.join(map(str, packed))} cells"] if packed else []
    return lines + ([f"single  {single} cells"] if single else [])


def sweep_answer(sweep: Sweep) -> Answer:
    """Report the cells; the headline is that of the best trial, by the mean over its
    seeds, or without a metric the average of all cells."""
    data = {
        "id": sweep.id,
        "task": sweep.plan.identity["task"],
        "status": _status(sweep.states),
        "computed": sweep.computed,
        "reused": sweep.reused,
        "states": sweep.states,
        "retried": len(sweep.retries),
        **({"ending": sweep.ending} if sweep.ending else {}),
        "warnings": sweep.warnings,
        **_best(sweep),
        "cells": [to_json(line) for line in sweep.table.to_dict("records")],
        "path": sweep.path,
    }
    text = ", ".join(f"{count} {state}" for state, count in sweep.states.items())
    counts = f"{sweep.computed} computed, {sweep.reused} reused"
    counts += f", {len(sweep.retries)} retried" if sweep.retries else ""
    lines: list[Any] = [f"sweep {sweep.id}: {text}; {counts}", _table(sweep)]
    lines += [f"  {line}" for line in [*_best_lines(sweep), *_failures(sweep)]]
    lines += _logs_of_first_failure(sweep)
    lines += [f"  ended   early: {sweep.ending}"] if sweep.ending else []
    lines += [f"  WARNING {warning}" for warning in sweep.warnings]
    lines.append(f"  stored  {sweep.path}")
    return Answer(lines, data, _exit(sweep.states) or bool(sweep.headline_errors))


def _best(sweep: Sweep) -> dict[str, Any]:
    """Return the headline, and the best trial."""
    best = _first(sweep)
    average = {} if sweep.plan.metrics else sweep.average()
    headline = best.headline if best else average
    return {
        "headline": {n: estimate._asdict() for n, estimate in headline.items()},
        "best": best and {"values": best.values, "runs": best.runs},
    }


def _first(sweep: Sweep) -> Trial | None:
    """Return the best trial, or None if no trial has a value of the metric."""
    return next(iter(sweep.ranked()), None) if sweep.plan.metrics else None


def _best_lines(sweep: Sweep) -> list[str]:
    """Name the best trial, or the reason why there is none."""
    from heliostat.sweeps.trials import why_none

    if not sweep.plan.metrics:
        return []
    name = sweep.plan.metrics[0].name
    if not (best := _first(sweep)):
        return [f"best    none: {why_none(sweep, name)}"]
    if len(best.cells) == 1:
        return [f"best    {best}  run {best.runs[0]}"]
    mean = best.headline[name]
    return [f"best    {best}  {name} {mean}, {mean.source}"]


def _table(sweep: Sweep) -> Table:
    """Return a table with a line per cell, the cells of the best trial first."""
    metric = sweep.plan.metrics[0].name if sweep.plan.metrics else None
    means = _means(sweep) if len(sweep.plan.seeds) > 1 else {}
    table = Table(box=None)
    names = list(sweep.coordinates(sweep.cells[0])) if sweep.cells else []
    more = [f"{metric}, mean over seeds"] if means else []
    for name in [*names, "run", "state", metric or "headline", *more]:
        table.add_column(name)
    cells = _in_order(sweep)
    for cell in cells[:MAX_ROWS]:
        values, id_ = sweep.coordinates(cell).values(), cell.spec.id
        text = [id_, sweep.outcomes[id_].state, _estimate_text(sweep, id_, metric)]
        more = [means.get(id_, "-")] if means else []
        table.add_row(*map(Text, [*map(str, values), *text, *more]))
    if len(cells) > MAX_ROWS:
        table.add_row(Text(f"… {len(cells) - MAX_ROWS} more"))
    return table


def _in_order(sweep: Sweep) -> list[Cell]:
    """Return the cells of the best trial first, and cells without a metric last.
    In a population the last generation comes first."""
    best = [c for t in sweep.ranked() for c in t.cells] if sweep.plan.metrics else []
    first = {id(cell) for cell in best}
    cells = [*best, *(cell for cell in sweep.cells if id(cell) not in first)]
    population = "generation" in sweep.dims
    return sorted(cells, key=lambda c: -c.place[1]) if population else cells


def _means(sweep: Sweep) -> dict[str, str]:
    """Return the mean over each trial by the ids of its runs."""
    if not sweep.plan.metrics:
        return {}
    name = sweep.plan.metrics[0].name
    return {
        run: str(trial.headline[name]) for trial in sweep.ranked() for run in trial.runs
    }


def _estimate_text(sweep: Sweep, run: str, metric: str | None) -> str:
    """Format the metric, or else the first estimate of the run itself."""
    estimates = sweep.headlines.get(run, {})
    if metric:
        return str(estimates.get(metric, "-"))
    own = [f"{n} {e}" for n, e in estimates.items() if e.source == "this run"]
    return next(iter(own), "-")


def _failures(sweep: Sweep) -> list[str]:
    """List the cells that failed, stopped, were retried or lack estimates, with the
    reason."""
    lines = [
        f"{word:8}{cell}: {sweep.reason(cell)}"
        for cell in sweep.cells
        if (word := _problem(sweep, cell.spec.id))
    ]
    return lines[:MAX_ROWS]


def _logs_of_first_failure(sweep: Sweep) -> list[str]:
    """Return the command that prints the first traceback of the cells."""
    for outcome in sweep.outcomes.values():
        if outcome.state == "failed" and outcome.run:
            return logs_lines(outcome.run.path, outcome.run.status)
    return []


def _problem(sweep: Sweep, run: str) -> str:
    """Return the word for what went wrong with a run; empty if nothing did."""
    if (state := sweep.outcomes[run].state) in ("failed", "stopped"):
        return state
    if run in sweep.retries:
        return "retried"
    return "lacks" if run in sweep.headline_errors else ""


def _status(states: Mapping[str, int]) -> str:
    incomplete = ("failed", "stopped", "waiting")
    return next((state for state in incomplete if states.get(state)), "complete")


def _exit(states: Mapping[str, int]) -> int:
    return {"failed": 1, "stopped": INTERRUPTED}.get(_status(states), 0)
