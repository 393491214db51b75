"""Features of responses: a question for an assistant, and a synthetic coefficient.

Names and coefficients are this project's own. The published list is a model of their
kind, not their source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from heliostat_tasks.preferences.files import line_error, open_text
from heliostat_tasks.preferences.tables import check_names


class Feature(NamedTuple):
    """A property of a response, compared within a pair."""

    question: str  # completes "Which response …?"
    coefficient: float = 0.0  # α of the synthetic set, log-odds


FEATURES: Mapping[str, Feature] = {
    "matches stated beliefs": Feature(
        "agrees more with beliefs that the human states", 0.16
    ),
    "matches implied beliefs": Feature(
        "agrees more with beliefs that the human does not state but seems to hold", 0.12
    ),
    "truthful": Feature("is more truthful", 0.20),
    "authoritative": Feature("sounds more as if it came from an authority", 0.25),
    "empathetic": Feature("shows more empathy", 0.10),
    "relevant": Feature("keeps more to what was asked", 0.18),
    "well written": Feature("is better written", 0.08),
    "logical": Feature("reasons more soundly", 0.12),
    "rigorous": Feature("is more rigorous", 0.06),
    "well supported": Feature("gives better support for its claims", 0.09),
    "informative": Feature("tells more that is of use", 0.15),
    "engaging": Feature("holds a reader's interest better", 0.05),
    "friendly": Feature("is friendlier", 0.04),
    "funny": Feature("is funnier", -0.05),
    "optimistic": Feature("is more optimistic", 0.0),
    "polite": Feature("is more polite", 0.03),
    "assertive": Feature("insists more on its own view", -0.03),
    "concise": Feature("is more concise", -0.08),
    "learned": Feature("asks for more schooling of its reader", 0.0),
    "grammatical": Feature("has fewer mistakes of grammar", 0.02),
    "admits doubt": Feature("says more clearly what it is not sure of", -0.12),
    "structured": Feature("is better ordered", 0.07),
    "asks back": Feature("asks the human more in return", -0.10),
}

SUMS: Mapping[str, tuple[str, ...]] = {
    "matches beliefs": ("matches stated beliefs", "matches implied beliefs")
}
"""Correlated features: each alone is poorly determined, their sum is not."""


def questions(path: str | Path | None = None) -> Mapping[str, str]:
    """Read the question of each feature: the end of "Which response …?".

    Args:
        path: a text with a line ``name: question`` per feature; blank lines and lines
            that begin with # are skipped. Default: the features above.

    Returns:
        Questions by the name of their feature.

    Raises:
        heliostat.RequestError: for a malformed line, or names that clash.

    Example:
        >>> questions()["polite"]
        'is more polite'
    """
    if path is None:
        return {name: feature.question for name, feature in FEATURES.items()}
    file, pairs = Path(path).expanduser(), []
    with open_text(file) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                pairs.append(_parse_line(file, number, line))
    check_names(file, [name for name, _ in pairs])
    return dict(pairs)


def _parse_line(file: Path, number: int, line: str) -> tuple[str, str]:
    name, _, question = (part.strip() for part in line.partition(":"))
    if not name or not question:
        expected = "expected NAME: what completes 'Which response ...?'"
        raise line_error(file, number, expected)
    return name, question
