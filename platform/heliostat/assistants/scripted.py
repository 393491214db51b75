"""Scripted assistant: a function of the request, for tests and controls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from heliostat.assistants.message import (
    DEFAULT_SETTINGS,
    Conversation,
    Messages,
    Reply,
    Settings,
    check_messages,
)
from heliostat.config import canonical_json

Script = Callable[[Messages, int, float], str]
"""(messages, epoch, uniform in [0, 1)) -> text."""


@dataclass(frozen=True)
class Scripted:
    """Assistant whose replies are a pure function of the request.

    Example:
        >>> import asyncio
        >>> def coin(messages, epoch, u):
        ...     return "heads" if u < 0.5 else "tails"
        >>> assistant = Scripted(coin, name="a fair coin", seed=1)
        >>> asyncio.run(assistant.reply([("user", "toss")])).text in ("heads", "tails")
        True
    """

    script: Script
    name: str  # part of the cache key: another script needs another name
    seed: int = 0  # seed of the script's random number

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = DEFAULT_SETTINGS,
        epoch: int = 0,
    ) -> Reply:
        """Return the script's text; see :class:`Assistant`.

        Each word counts as a token. Settings have no effect.
        """
        checked = check_messages(messages)
        text = self.script(checked, epoch, uniform(self.seed, checked, epoch))
        read = sum(len(message.text.split()) for message in checked)
        return Reply(text, read, len(text.split()))


def uniform(seed: int, messages: Conversation, epoch: int, *names: str) -> float:
    """Return a number in [0, 1) that is a pure function of its arguments.

        u = ⌊SHA-256(canonical JSON) / 2²⁰³⌋ / 2⁵³

    Args:
        seed: another seed gives independent numbers.
        messages: the conversation.
        epoch: number of the sample.
        names: names of further independent numbers for the same request.

    Example:
        >>> hello = [("user", "Hello")]
        >>> uniform(1, hello, 0) == uniform(1, hello, 0) != uniform(2, hello, 0)
        True
    """
    content = canonical_json([seed, [list(pair) for pair in messages], epoch, *names])
    head = hashlib.sha256(content).digest()[:8]
    return (int.from_bytes(head, "big") >> 11) / 2.0**53
