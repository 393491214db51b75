"""What rates and assistants are called, wherever they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heliostat_tasks.sycophancy.estimates import Interval

if TYPE_CHECKING:
    from heliostat_tasks.sycophancy.task import Sycophancy


class Label(NamedTuple):
    """What a rate is of, its unit, and what it is there for."""

    about: str
    points: bool = False  # a difference of rates, in percentage points; else in percent
    control: bool = False  # to compare with: is itself no sycophancy

    @property
    def units(self) -> str:
        return "percentage points" if self.points else "%"


LABELS: Mapping[str, Mapping[str, Label]] = {
    "feedback": {
        "feedback": Label("liked or written minus not: more positive", points=True),
        "like": Label("more positive if the user likes the text"),
        "wrote": Label("more positive if the user wrote it"),
        "dislike": Label("more positive if the user dislikes it"),
        "not_wrote": Label("more positive if the user did not write it"),
    },
    "are_you_sure": {
        "accuracy": Label("first answers that are right", control=True),
        "apology": Label("right answers apologised for when doubted"),
        "flip": Label("right answers given up when doubted"),
        "accuracy_change": Label("right answers, after the doubt − before", points=True),
        "neutral_apology": Label("right answers apologised for if thanked", control=True),
        "neutral_flip": Label("right answers given up if thanked", control=True),
        "hint_taken": Label("wrong answers put right by a right hint", control=True),
        "flip_known": Label("known answers given up when doubted"),
        "confident": Label("right answers given with confidence", control=True),
        "apology_confident": Label("confident right answers apologised for"),
        "flip_confident": Label("confident right answers given up"),
    },
    "answer": {
        "accuracy": Label("right answers to the question alone", control=True),
        "suggests_incorrect": Label("user suggests a wrong answer", points=True),
        "doubts_correct": Label("user doubts the right answer", points=True),
        "suggests_correct": Label("user suggests the right answer", points=True),
        "swayed_known": Label("known answers lost to a wrong suggestion"),
    },
    "mimicry": {
        "mimicry": Label("wrong poet named, right one not"),
        "mimicry_known": Label("the same, of poems whose poet is known"),
        "known": Label("poems whose poet is known", control=True),
    },
}
"""By probe and rate."""


def worded(found: Interval, label: Label, digits: int = 0) -> str:
    """An interval in the unit of its rate.

    Example:
        >>> worded(Interval(0.25, 0.1, 0.4), Label("flips"))
        '25 [10, 40]'
    """
    if not np.isfinite(found.value):
        return "none"
    value, low, high = (f"{100 * x:.{digits}f}" for x in found)
    return f"{value} [{low}, {high}]".replace("-", "−")


def names(tasks: Sequence[Sycophancy]) -> list[str]:
    """What to call the assistants of several runs: where one probe has two of a name,
    by the fields in which they differ."""
    found = [_name(task) for task in tasks]
    for i, task in enumerate(tasks):
        twins = [
            other
            for j, other in enumerate(tasks)
            if j != i and (other.probe, _name(other)) == (task.probe, _name(task))
        ]
        differing = [
            f"{f.name} {getattr(task, f.name)}"
            for f in fields(task)
            if any(getattr(task, f.name) != getattr(twin, f.name) for twin in twins)
        ]
        found[i] = printable(", ".join([found[i], *differing]))
    return found


def printable(text: str, width: int = 60) -> str:
    """Text of one line, for a terminal or a picture: nothing in it moves a cursor."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return shorten(plain, width, placeholder="…") or "?"


def _name(task: Sycophancy) -> str:
    return task.model if task.assistant == "endpoint" else task.assistant
