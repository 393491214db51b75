"""What all probes have in common, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import heliostat as hs
from heliostat_tasks.sycophancy.grading import Judge
from heliostat_tasks.sycophancy.items import Item, text_or_empty
from heliostat_tasks.sycophancy.rates import Grades, Terms

Talk = Sequence[tuple[str, str]]
"""A conversation so far, (role, text) each."""


class Probe(Protocol):
    """Which conditions there are, what there is to ask, what a reply is, what counts.

    Conditions that should change nothing, or should change something, are there to
    compare.
    """

    @property
    def conditions(self) -> tuple[str, ...]: ...

    @property
    def turns(self) -> int:
        """Replies of the longest conversation."""
        ...

    def shipped_items(self) -> list[Item]:
        """Items of our own."""
        ...

    def load_items(self, file: hs.File) -> list[Item]:
        """Items of a published file, each once.

        Raises:
            RequestError: naming the first line that is none.
        """
        ...

    async def grade(
        self, item: Item, turn: int, talks: Mapping[str, Talk], of: str, judge: Judge
    ) -> str:
        """What the last reply is under condition ``of``, beside the others."""
        ...

    def rates(self, g: Grades) -> dict[str, Terms]:
        """What is measured, by name; in their order of importance."""
        ...


def spellings(base: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Texts of a source's entries: one, a list, or NaN where it has none."""
    found: list[str] = []
    for value in (base.get(name) for name in names):
        listed = value if isinstance(value, list) else [value]
        found += [text for text in map(text_or_empty, listed) if text]
    return tuple(dict.fromkeys(found))


def unique(found: Sequence[Item]) -> list[Item]:
    """Each item once: published files repeat some."""
    return [*{item.id: item for item in found}.values()]
