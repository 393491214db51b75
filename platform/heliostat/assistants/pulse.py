"""Whether a server answers anybody: it is asked the shortest questions there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from heliostat.assistants.attempts import Failed
from heliostat.assistants.message import Message, Settings, Unanswered

QUESTIONS = (
    "Say yes.",
    "How much is two and two?",
    "I am looking for the name of the city on the Seine that is the capital of France. "
    "Which one is it?",
)
"""Of several lengths, lest a server dislike one; nobody's account pays for them."""

_SETTINGS = Settings(temperature=None, max_tokens=16)

Ask = Callable[[tuple[Message, ...], Settings], Awaitable[object]]
"""Asks once, and raises Failed or Unanswered."""


async def beats(ask: Ask) -> bool:
    """Whether any of the questions is answered; one that is refused as making no sense
    is answered, too."""
    for text in QUESTIONS:
        try:
            await ask((Message("user", text),), _SETTINGS)
        except Failed as error:
            if error.wait:  # so it will say to the others
                return False
            continue
        except Unanswered:
            pass
        return True
    return False
