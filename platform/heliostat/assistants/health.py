"""Health check: does a server answer any request at all?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from heliostat.assistants.failures import AttemptFailed
from heliostat.assistants.message import Message, Messages, Settings, Unanswered

QUESTIONS = (
    "Say yes.",
    "How much is two and two?",
    "I am looking for the name of the city on the Seine that is the capital of France. "
    "Which one is it?",
)
"""Of several lengths, because a server may reject one of them. No budget is charged."""

_SETTINGS = Settings(temperature=None, max_tokens=16)

Attempt = Callable[[Messages, Settings], Awaitable[object]]
"""Sends a request once; raises AttemptFailed or Unanswered."""


async def is_alive(attempt: Attempt) -> bool:
    """Return whether the server answers one of :data:`QUESTIONS`.

    A question that is rejected as invalid (``Unanswered``) is answered as well.

    Args:
        attempt: sends a request once.
    """
    for text in QUESTIONS:
        try:
            await attempt((Message("user", text),), _SETTINGS)
        except AttemptFailed as error:
            if error.wait:  # the server asks all clients to wait
                return False
            continue
        except Unanswered:
            pass
        return True
    return False
