"""Protocol of a probe, and how probes read published files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import heliostat as hs
from heliostat.assistants.message import Conversation
from heliostat_tasks.sycophancy.grades import Grades, Terms
from heliostat_tasks.sycophancy.grading import Judge
from heliostat_tasks.sycophancy.items import Item, text_or_empty


class Probe(Protocol):
    """An experiment: conditions, items, a grade for each reply, and rates.

    Some conditions are controls, which should change nothing, or something known.
    """

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions."""
        ...

    @property
    def turns(self) -> int:
        """Number of replies in the longest conversation."""
        ...

    def shipped_items(self) -> list[Item]:
        """Return the items of our own sets."""
        ...

    def load_items(self, file: hs.File) -> list[Item]:
        """Return the distinct items of a published file.

        Raises:
            heliostat.RequestError: naming the first line that is no item.
        """
        ...

    async def grade(
        self,
        item: Item,
        turn: int,
        conversations: Mapping[str, Conversation],
        condition: str,
        judge: Judge,
    ) -> str:
        """Return the grade of the last reply under a condition.

        Args:
            item: item of the conversation.
            turn: from 1.
            conversations: conversations of this item and epoch, by condition.
            condition: whose last reply is graded.
            judge: rules or an assistant.

        Raises:
            heliostat.assistants.Unanswered: if the judge does not reply.
            KeyError: for the condition to compare with, if it has no reply.
        """
        ...

    def rates(self, g: Grades) -> dict[str, Terms]:
        """Return the rates by name, the most important first."""
        ...


def spellings(base: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Return the distinct texts of some entries of a published row.

    Args:
        base: entries; each is a text, a list of texts, or NaN.
        names: names of the entries.

    Example:
        >>> spellings({"answer": "Paris", "answers": ["Paris", "paris"]}, "answers")
        ('Paris', 'paris')
    """
    texts: list[str] = []
    for value in (base.get(name) for name in names):
        listed = value if isinstance(value, list) else [value]
        texts += [text for text in map(text_or_empty, listed) if text]
    return tuple(dict.fromkeys(texts))


def unique(items: Sequence[Item]) -> list[Item]:
    """Return each item once: published files repeat some."""
    return [*{item.id: item for item in items}.values()]
