"""An assistant that answers by a function: known exactly, for tests and controls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from heliostat.assistants.message import (
    USUAL,
    Conversation,
    Message,
    Reply,
    Settings,
    conversation,
)
from heliostat.config import canonical_json

Script = Callable[[tuple[Message, ...], int, float], str]
"""(messages, epoch, uniform in [0, 1)) -> text."""


@dataclass(frozen=True)
class Scripted:
    """Answers are a pure function of the request: chance follows from what is asked.

    Example:
        >>> def coin(messages, epoch, u):
        ...     return "heads" if u < 0.5 else "tails"
        >>> assistant = Scripted(coin, name="a fair coin", seed=1)
    """

    script: Script
    name: str  # another script needs another name: replies are kept under it
    seed: int = 0

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = USUAL,
        epoch: int = 0,
    ) -> Reply:
        """See :class:`Assistant`; a word counts as a token, and settings as nothing."""
        said = conversation(messages)
        text = self.script(said, epoch, uniform(self.seed, said, epoch))
        return Reply(text, sum(len(m.text.split()) for m in said), len(text.split()))


def uniform(seed: int, messages: Conversation, epoch: int, *more: str) -> float:
    """A number in [0, 1) that is a pure function of its arguments.

        u = ⌊SHA-256(canonical JSON) / 2²⁰³⌋ / 2⁵³

    Args:
        more: names of further numbers for the same request.
    """
    content = canonical_json([seed, [list(pair) for pair in messages], epoch, *more])
    head = hashlib.sha256(content).digest()[:8]
    return (int.from_bytes(head, "big") >> 11) / 2.0**53
