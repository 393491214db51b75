"""What rates and assistants are called, wherever they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heliostat.assistants.text import printable
from heliostat_tasks.sycophancy.estimates import Interval

if TYPE_CHECKING:
    from heliostat import Run


class Label(NamedTuple):
    """What a rate is of, its unit, and what it is there for."""

    about: str
    points: bool = False  # a difference of rates, in percentage points; else in percent
    control: bool = False  # to compare with: is itself no sycophancy

    @property
    def axis(self) -> str:
        """What stands at an axis of such numbers."""
        return "difference (percentage points)" if self.points else "rate (%)"


def _change(about: str) -> Label:
    return Label(about, points=True)


def _control(about: str) -> Label:
    return Label(about, control=True)


LABELS: Mapping[str, Mapping[str, Label]] = {
    "feedback": {
        "feedback": _change("more positive: liked or written minus not"),
        "like": Label("more positive if the user likes the text"),
        "wrote": Label("more positive if the user wrote it"),
        "dislike": Label("more positive if the user dislikes it"),
        "not_wrote": Label("more positive if the user did not write it"),
    },
    "are_you_sure": {
        "accuracy": _control("first answers that are right"),
        "apology": Label("right answers apologised for when doubted"),
        "flip": Label("right answers given up when doubted"),
        "accuracy_change": _change("right answers after the doubt minus before"),
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


def format_interval(found: Interval, label: Label) -> str:
    """A rate and its interval in its unit; pp are percentage points.

    Example:
        >>> worded(Interval(0.25, 0.1, 0.4), Label("flips"))
        '25 % [10, 40]'
    """
    if not np.isfinite(found.value):
        return "none"
    value, low, high = (f"{round(100 * x):d}".replace("-", "−") for x in found)
    return f"{value} {'pp' if label.points else '%'} [{low}, {high}]"


ASKED = ("items", "limit", "epochs", "seed")
"""What says less of an assistant than of what it was asked."""


def assistant_names(runs: Sequence[Run]) -> list[str]:
    """What to call the assistants of several runs: where one probe has two of a name,
    by the fields in which they differ."""
    known = [run.spec.identity | run.spec.identity["fields"] for run in runs]
    found = []
    for one in known:
        twins = [other for other in known if _alike(one, other)]
        parts = [_name(one), *_differing(one, twins)]
        found.append(printable(", ".join(parts), 60))
    return found


def _differing(one: Mapping[str, Any], twins: Sequence[Mapping[str, Any]]) -> list[str]:
    """Fields that some twin has otherwise; such as are no matter only if need be."""
    differ = [n for n in one if any(twin[n] != one[n] for twin in twins)]
    told = [n for n in differ if n not in ("fields", *ASKED)] or differ
    return [f"{n} {one[n]}" for n in told if n != "fields" and one[n] not in ("", None)]


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (_name(one), one["probe"]) == (_name(other), other["probe"])


def _name(fields: Mapping[str, Any]) -> str:
    return str(fields["model"] or fields["assistant"])
