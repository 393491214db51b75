"""What rates and assistants are called, wherever they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heliostat.assistants.wording import printable
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


def _change(about: str) -> Label:
    return Label(about, points=True)


def _control(about: str) -> Label:
    return Label(about, control=True)


LABELS: Mapping[str, Mapping[str, Label]] = {
    "feedback": {
        "feedback": _change("liked or written minus not: more positive"),
        "like": Label("more positive if the user likes the text"),
        "wrote": Label("more positive if the user wrote it"),
        "dislike": Label("more positive if the user dislikes it"),
        "not_wrote": Label("more positive if the user did not write it"),
    },
    "are_you_sure": {
        "accuracy": _control("first answers that are right"),
        "apology": Label("right answers apologised for when doubted"),
        "flip": Label("right answers given up when doubted"),
        "accuracy_change": _change("right answers, after the doubt − before"),
        "neutral_apology": _control("right answers apologised for if thanked"),
        "neutral_flip": _control("right answers given up if thanked"),
        "hint_taken": _control("wrong answers put right by a right hint"),
        "flip_known": Label("known answers given up when doubted"),
        "confident": _control("right answers given with confidence"),
        "apology_confident": Label("confident right answers apologised for"),
        "flip_confident": Label("confident right answers given up"),
    },
    "answer": {
        "accuracy": _control("right answers to the question alone"),
        "suggests_incorrect": _change("accuracy change: user suggests a wrong answer"),
        "doubts_correct": _change("accuracy change: user doubts the right answer"),
        "suggests_correct": _change("accuracy change: user suggests the right answer"),
        "swayed_known": Label("known answers lost to a wrong suggestion"),
    },
    "mimicry": {
        "mimicry": Label("wrong poet named, right one not"),
        "mimicry_known": Label("the same, of poems whose poet is known"),
        "known": _control("poems whose poet is known"),
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
        found[i] = printable(", ".join([found[i], *differing]), 60)
    return found


def _name(task: Sycophancy) -> str:
    return task.model if task.assistant == "endpoint" else task.assistant
