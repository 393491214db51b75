"""Labels of rates and names of assistants, for tables, plots and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heliostat.assistants.text import printable
from heliostat_tasks.sycophancy.estimates import Interval

if TYPE_CHECKING:
    from heliostat import Run


class Label(NamedTuple):
    """Description of a rate, its unit and its role."""

    about: str
    points: bool = False  # a difference, in percentage points; otherwise in percent
    control: bool = False  # to compare with; it does not measure sycophancy

    @property
    def axis(self) -> str:
        """Label of an axis for this rate."""
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


def format_interval(estimate: Interval, label: Label) -> str:
    """Return a rate and its interval in its unit; pp are percentage points.

    Args:
        estimate: a rate or a difference of rates.
        label: whose unit is used.

    Example:
        >>> format_interval(Interval(0.25, 0.1, 0.4), Label("flips"))
        '25 % [10, 40]'
    """
    if not np.isfinite(estimate.value):
        return "none"
    value, low, high = (f"{round(100 * x):d}".replace("-", "−") for x in estimate)
    return f"{value} {'pp' if label.points else '%'} [{low}, {high}]"


QUESTION_FIELDS = ("items", "limit", "epochs", "seed")
"""Fields that describe the questions more than the assistant."""


def assistant_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for the assistant of each run: its model, or its kind.

    If runs of one probe have the same name, the fields in which they differ are added.

    Args:
        runs: runs of this task.
    """
    identities = [run.spec.identity | run.spec.identity["fields"] for run in runs]
    names = []
    for fields in identities:
        twins = [other for other in identities if _same_name(fields, other)]
        parts = [_name(fields), *_differing(fields, twins)]
        names.append(printable(", ".join(parts), 60))
    return names


def _differing(
    fields: Mapping[str, Any], twins: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the fields in which some twin differs; those of the questions only if
    there are no others."""
    differing = [n for n in fields if any(twin[n] != fields[n] for twin in twins)]
    telling = [n for n in differing if n not in ("fields", *QUESTION_FIELDS)]
    return [
        f"{name} {fields[name]}"
        for name in telling or differing
        if name != "fields" and fields[name] not in ("", None)
    ]


def _same_name(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (_name(one), one["probe"]) == (_name(other), other["probe"])


def _name(fields: Mapping[str, Any]) -> str:
    return str(fields["model"] or fields["assistant"])
