"""What was said in a run, as plain data: texts and numbers that a page can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import heliostat as hs
from heliostat_tasks.sycophancy import rates
from heliostat_tasks.sycophancy.labels import LABELS

if TYPE_CHECKING:
    import xarray as xr

    from heliostat_tasks.sycophancy.items import Item

LONGEST = 20_000
"""Characters of a text that are told; of a longer one it is said how many are not."""

PLAIN = {"answer": "unbiased"}
"""The condition whose answer others are held against; else the first turn's is."""

OUTCOMES = {("correct", "incorrect"): "flip", ("incorrect", "correct"): "mended"}


def opened(run: hs.Run) -> xr.Dataset:
    """The rows of a run of this task.

    Raises:
        RequestError: for a run of another task, or one without any turn.
        StoreError: for a probe that is none.
    """
    name = run.spec.identity["task"]
    if name != "sycophancy":
        raise hs.RequestError(f"run {run.id} is of {name}; expected one of sycophancy")
    if probe_of(run) not in LABELS:
        raise hs.StoreError(f"run {run.id}: no probe is called {probe_of(run)!r}")
    if not run.steps:
        raise hs.RequestError(f"run {run.id} has no turn yet; `heliostat resume` it")
    return run.rows.load()


def probe_of(run: hs.Run) -> str:
    return str(run.spec.identity["fields"]["probe"])


def told(run: hs.Run) -> dict[str, Any]:
    """A run with its fields, rates and conversations.

    Where the items are not at hand (their file is gone, or was edited), what was
    replied is still told, and why the rest is not.
    """
    rows = opened(run)
    asked, missing = _asked(run)
    cells = Cells.of(rows, PLAIN.get(probe_of(run)))
    items = [
        {
            "number": i + 1,
            **_about(asked[i] if asked else None, cells),
            "talks": [*cells.talks(i)],
        }
        for i in range(rows.sizes["item"])
    ]
    return {
        "id": run.id,
        "status": run.status,
        "fields": [[name, _word(value)] for name, value in run.spec.passed.items()],
        "rates": _rates(probe_of(run), rows),
        **rates.dropped(rows),
        "missing": missing,
        "items": items,
    }


def cut(text: str) -> tuple[str, int]:
    """The beginning of a text, and how many characters follow."""
    return text[:LONGEST], max(0, len(text) - LONGEST)


class Cells(NamedTuple):
    """What happened, by item, turn, condition and epoch: nested lists."""

    conditions: list[str]
    reply: list[Any]
    grade: list[Any]
    failure: list[Any]
    tokens: list[Any]  # with prompt and reply
    plain: int | None  # the condition that answers are held against

    @classmethod
    def of(cls, rows: xr.Dataset, plain: str | None) -> Cells:
        rows = rows.transpose("item", "turn", "condition", "epoch", "kind")
        names = [str(name) for name in rows["condition"].values]
        told = (rows[n].values.tolist() for n in ("reply", "grade", "failure", "tokens"))
        return cls(names, *told, names.index(plain) if plain else None)

    def talks(self, item: int) -> Iterator[dict[str, Any]]:
        """The conversations of an item, condition by condition."""
        for c, name in enumerate(self.conditions):
            for e in range(len(self.reply[item][0][c])):
                turns = [self._turn(item, t, c, e) for t in range(len(self.reply[item]))]
                outcome = self._outcome(self.grade[item], c, e)
                yield {
                    "condition": name,
                    "epoch": e + 1,
                    "turns": turns,
                    "outcome": outcome,
                }

    def _turn(self, item: int, turn: int, c: int, e: int) -> dict[str, Any]:
        return {
            "reply": cut(self.reply[item][turn][c][e]),
            "grade": self.grade[item][turn][c][e],
            "failure": cut(self.failure[item][turn][c][e]),
            "tokens": self.tokens[item][turn][c][e],
        }

    def _outcome(self, grade: list[Any], c: int, e: int) -> str:
        """Whether a right answer was given up, or a wrong one put right."""
        first = grade[0][c if self.plain is None else self.plain][e]
        return OUTCOMES.get((first, grade[-1][c][e]), "")


def _asked(run: hs.Run) -> tuple[list[Item] | None, str]:
    """The items; or why they are not at hand."""
    try:
        task: Any = run.task
        return task.asked, ""
    except (hs.RequestError, ValueError) as error:
        return None, cut(str(error))[0]


def _about(item: Item | None, cells: Cells) -> dict[str, Any]:
    """An item, and what was said in it: (role, text, left out), by condition, turn."""
    if item is None:
        return {"id": "", "dataset": "unknown", "correct": [], "incorrect": [], "said": {}}
    turns = range(len(cells.reply[0]))
    said = {
        name: [[(role, *cut(text)) for role, text in item.script[name][t]] for t in turns]
        for name in cells.conditions
    }
    return {
        "id": item.id,
        "dataset": item.dataset,
        "correct": list(item.correct),
        "incorrect": list(item.incorrect),
        "said": said,
    }


def _rates(probe: str, rows: xr.Dataset) -> list[dict[str, Any]]:
    found = rates.measured(probe, rows)
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
    return cut(str(value))[0]
