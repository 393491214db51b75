"""Transcripts of a run as plain data: texts and numbers that a page can hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import heliostat as hs
from heliostat.results.commands import run_command
from heliostat_tasks.sycophancy import rates
from heliostat_tasks.sycophancy.estimates import Interval
from heliostat_tasks.sycophancy.grades import grades_of
from heliostat_tasks.sycophancy.labels import LABELS, assistant_names
from heliostat_tasks.sycophancy.probes import PROBES

if TYPE_CHECKING:
    import xarray as xr

MAX_CHARACTERS = 20_000
"""Length of the longest text that is shown; of a longer one, the rest is counted."""

REFERENCE = {"answer": "unbiased"}
"""Condition whose answer is the reference for the outcome; else the first turn's is."""

OUTCOMES = {("correct", "incorrect"): "flip", ("incorrect", "correct"): "mended"}
"""Outcome by the grade of the reference and the last grade."""


def load_rows(run: hs.Run) -> xr.Dataset:
    """Return the rows of a run of this task.

    Args:
        run: with at least one turn.

    Raises:
        heliostat.RequestError: for a run of another task, or one without any turn.
        heliostat.StoreError: for an unknown probe.
    """
    name = run.spec.identity["task"]
    if name != "sycophancy":
        raise hs.RequestError(f"run {run.id} is of {name}; expected one of sycophancy")
    if probe_name(run) not in PROBES:
        raise hs.StoreError(f"run {run.id}: no probe is called {probe_name(run)!r}")
    if not run.steps:
        resume = run_command("resume", run.path)
        raise hs.RequestError(f"run {run.id} has no turn yet; `{resume}` goes on")
    return run.rows.load()


def probe_name(run: hs.Run) -> str:
    """Return the name of a run's probe."""
    return str(run.spec.identity["fields"]["probe"])


def transcript_data(run: hs.Run) -> dict[str, Any]:
    """Return the fields, the rates and the conversations of a run.

    If the items cannot be loaded (their file is missing or was edited), the right
    answers are left out, and ``missing`` gives the reason.

    Args:
        run: run of this task.
    """
    rows = load_rows(run)
    answers, missing = _answers(run)
    table = ConversationTable.of(run, rows)
    ids, datasets = (rows[name].values[:, 0].tolist() for name in ("id", "dataset"))
    items = [
        {"number": i + 1, "id": ids[i], "dataset": datasets[i]}
        | answers.get(ids[i], {})
        | {"said": table.script(i), "talks": [*table.conversations(i)]}
        for i in range(len(ids))
    ]
    return {
        "id": run.id,
        "name": assistant_names([run])[0],
        "status": run.status,
        "fields": [[name, _as_text(value)] for name, value in run.spec.passed.items()],
        "rates": _rates(probe_name(run), rows),
        **rates.count_lost(grades_of(rows)),
        "missing": missing,
        "items": items,
    }


def truncate(text: str) -> tuple[str, int]:
    """Return the beginning of a text, and the number of characters that follow."""
    return text[:MAX_CHARACTERS], max(0, len(text) - MAX_CHARACTERS)


class ConversationTable(NamedTuple):
    """Variables of a run as nested lists: [item][turn][condition][epoch]."""

    run: hs.Run
    conditions: list[str]
    said: list[Any]  # without epoch: the same for all
    reply: list[Any]
    grade: list[Any]
    failure: list[Any]
    tokens: list[Any]  # also by kind

    @classmethod
    def of(cls, run: hs.Run, rows: xr.Dataset) -> ConversationTable:
        """Return the table of a run's rows."""
        rows = rows.transpose("item", "turn", "condition", "epoch", "kind")
        lists = [rows[name].values.tolist() for name in cls._fields[2:]]
        return cls(run, list(map(str, rows["condition"].values)), *lists)

    def script(self, item: int) -> dict[str, list[Any]]:
        """Return the lines before each reply, by condition: (role, text, cut)."""
        turns = self.said[item]
        return {
            name: [self._lines(turn[c]) for turn in turns]
            for c, name in enumerate(self.conditions)
        }

    def conversations(self, item: int) -> Iterator[dict[str, Any]]:
        """Yield the conversations of an item, condition by condition."""
        for c, name in enumerate(self.conditions):
            for e in range(len(self.reply[item][0][c])):
                cell = {"condition": name, "epoch": e + 1}
                outcome = {"outcome": self._outcome(item, c, e)}
                yield cell | outcome | {"turns": [*self._turns(item, c, e)]}

    def _turns(self, item: int, c: int, e: int) -> Iterator[dict[str, Any]]:
        """Yield the turns of a conversation, up to its failure."""
        for turn, grade in enumerate(self.grade[item]):
            reply = self.reply[item][turn][c][e]
            failure = self.failure[item][turn][c][e]
            if grade[c][e]:  # empty if this condition has fewer turns
                yield {
                    "reply": truncate(reply),
                    "grade": grade[c][e],
                    "failure": truncate(failure),
                    "tokens": self.tokens[item][turn][c][e],
                }
            if failure and not reply:
                return

    def _outcome(self, item: int, c: int, e: int) -> str:
        """Return ``flip`` for a right answer that was given up, ``mended`` for a wrong
        one that was corrected, and empty otherwise."""
        name = REFERENCE.get(probe_name(self.run))
        reference = self.conditions.index(name) if name else c
        first = self.grade[item][0][reference][e]
        return OUTCOMES.get((first, self.grade[item][-1][c][e]), "")

    def _lines(self, said: str) -> list[Any]:
        """Return the messages without the system message, which the fields show."""
        system = ["system", self.run.spec.passed.get("system")]
        try:
            lines = [pair for pair in json.loads(said) if pair != system]
            return [(str(role), *truncate(str(text))) for role, text in lines]
        except (ValueError, TypeError) as error:
            reason = f"run {self.run.id}: what was said is damaged: {error}"
            raise hs.StoreError(reason) from error


def _answers(run: hs.Run) -> tuple[dict[str, Any], str]:
    """Return the right and wrong answers by item; or the reason for their absence."""
    try:
        task: Any = run.task
        items = task.selected_items
    except (hs.RequestError, ValueError) as error:
        return {}, truncate(str(error))[0]
    return {
        item.id: {"correct": item.correct, "incorrect": item.incorrect}
        for item in items
    }, ""


def _rates(probe: str, rows: xr.Dataset) -> list[dict[str, Any]]:
    return [
        {"name": name, **LABELS[probe][name]._asdict(), **_finite(estimate)}
        for name, estimate in rates.measure_rates(PROBES[probe], rows).items()
    ]


def _finite(estimate: Interval) -> dict[str, float | None]:
    bounds = estimate._asdict().items()
    return {name: value if np.isfinite(value) else None for name, value in bounds}


def _as_text(value: Any) -> str:
    match value:
        case None | "":
            return ""
        case Mapping() | list() | tuple():
            return ", ".join(map(_as_text, value))
    return truncate(str(value))[0]
