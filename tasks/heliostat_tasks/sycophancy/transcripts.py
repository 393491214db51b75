"""What was said in a run, as plain data: texts and numbers that a page can hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import heliostat as hs
from heliostat_tasks.sycophancy import rates
from heliostat_tasks.sycophancy.labels import LABELS, assistant_names
from heliostat_tasks.sycophancy.probes import PROBES

if TYPE_CHECKING:
    import xarray as xr

MAX_CHARACTERS = 20_000
"""Characters of a text that are told; of a longer one it is said how many are not."""

PLAIN = {"answer": "unbiased"}
"""The condition whose answer others are held against; else the first turn's is."""

OUTCOMES = {("correct", "incorrect"): "flip", ("incorrect", "correct"): "mended"}


def load_rows(run: hs.Run) -> xr.Dataset:
    """The rows of a run of this task.

    Raises:
        RequestError: for a run of another task, or one without any turn.
        StoreError: for a probe that is none.
    """
    name = run.spec.identity["task"]
    if name != "sycophancy":
        raise hs.RequestError(f"run {run.id} is of {name}; expected one of sycophancy")
    if probe_name(run) not in PROBES:
        raise hs.StoreError(f"run {run.id}: no probe is called {probe_name(run)!r}")
    if not run.steps:
        raise hs.RequestError(f"run {run.id} has no turn yet; `heliostat resume` it")
    return run.rows.load()


def probe_name(run: hs.Run) -> str:
    """The name of a run's probe."""
    return str(run.spec.identity["fields"]["probe"])


def transcript_data(run: hs.Run) -> dict[str, Any]:
    """A run with its fields, rates and conversations.

    Where the items are not at hand (their file is gone, or was edited), all that was
    said is still told, and why the answers are not.
    """
    rows = load_rows(run)
    answers, missing = _answers(run)
    cells = ConversationTable.of(run, rows)
    ids, sets = (rows[name].values[:, 0].tolist() for name in ("id", "dataset"))
    items = [
        {"number": i + 1, "id": ids[i], "dataset": sets[i], **answers.get(ids[i], {})}
        | {"said": cells.script(i), "talks": [*cells.talks(i)]}
        for i in range(len(ids))
    ]
    return {
        "id": run.id,
        "name": assistant_names([run])[0],
        "status": run.status,
        "fields": [[name, _word(value)] for name, value in run.spec.passed.items()],
        "rates": _rates(probe_name(run), rows),
        **rates.count_lost(rates.grades_of(rows)),
        "missing": missing,
        "items": items,
    }


def truncate(text: str) -> tuple[str, int]:
    """The beginning of a text, and how many characters follow."""
    return text[:MAX_CHARACTERS], max(0, len(text) - MAX_CHARACTERS)


class ConversationTable(NamedTuple):
    """What happened, by item, turn, condition and epoch: nested lists."""

    run: hs.Run
    conditions: list[str]
    said: list[Any]  # without epoch: all are told the same
    reply: list[Any]
    grade: list[Any]
    failure: list[Any]
    tokens: list[Any]  # also by kind

    @classmethod
    def of(cls, run: hs.Run, rows: xr.Dataset) -> ConversationTable:
        rows = rows.transpose("item", "turn", "condition", "epoch", "kind")
        told = [rows[name].values.tolist() for name in cls._fields[2:]]
        return cls(run, list(map(str, rows["condition"].values)), *told)

    def script(self, item: int) -> dict[str, list[Any]]:
        """What was said before each reply: (role, text, left out), by condition."""
        turns = self.said[item]
        return {
            name: [self._lines(turn[c]) for turn in turns]
            for c, name in enumerate(self.conditions)
        }

    def talks(self, item: int) -> Iterator[dict[str, Any]]:
        """The conversations of an item, condition by condition."""
        for c, name in enumerate(self.conditions):
            for e in range(len(self.reply[item][0][c])):
                about = {"condition": name, "epoch": e + 1}
                outcome = {"outcome": self._outcome(item, c, e)}
                yield about | outcome | {"turns": [*self._turns(item, c, e)]}

    def _turns(self, item: int, c: int, e: int) -> Iterator[dict[str, Any]]:
        """The turns of a conversation, as far as it came."""
        for turn, grade in enumerate(self.grade[item]):
            reply = self.reply[item][turn][c][e]
            failure = self.failure[item][turn][c][e]
            if grade[c][e]:  # else the others have more turns
                yield {
                    "reply": truncate(reply),
                    "grade": grade[c][e],
                    "failure": truncate(failure),
                    "tokens": self.tokens[item][turn][c][e],
                }
            if failure and not reply:
                return

    def _outcome(self, item: int, c: int, e: int) -> str:
        """Whether a right answer was given up, or a wrong one put right."""
        plain = PLAIN.get(probe_name(self.run))
        against = self.conditions.index(plain) if plain else c
        first = self.grade[item][0][against][e]
        return OUTCOMES.get((first, self.grade[item][-1][c][e]), "")

    def _lines(self, said: str) -> list[Any]:
        """Without what each conversation begins with, which is told once."""
        system = ["system", self.run.spec.passed.get("system")]
        try:
            lines = [pair for pair in json.loads(said) if pair != system]
            return [(str(role), *truncate(str(text))) for role, text in lines]
        except (ValueError, TypeError) as error:
            what = f"run {self.run.id}: what was said is damaged: {error}"
            raise hs.StoreError(what) from error


def _answers(run: hs.Run) -> tuple[dict[str, Any], str]:
    """Right and wrong answers by item; or why they are not at hand."""
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
    found = rates.measure_rates(PROBES[probe], rows)
    return [
        {
            "name": name,
            **LABELS[probe][name]._asdict(),
            **{k: v if np.isfinite(v) else None for k, v in one._asdict().items()},
        }
        for name, one in found.items()
    ]


def _word(value: Any) -> str:
    """A field as people write it."""
    match value:
        case None | "":
            return ""
        case Mapping() | list() | tuple():
            return ", ".join(map(_word, value))
    return truncate(str(value))[0]
