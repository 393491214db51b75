"""What is said to an assistant and what comes back; the contract of all assistants."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from heliostat.config import canonical_json
from heliostat.errors import Paused, RequestError

ROLES = ("system", "user", "assistant")


class Message(NamedTuple):
    """One turn of a conversation: a pair of strings, so it is JSON as it stands."""

    role: str  # system, user or assistant
    text: str


class Settings(NamedTuple):
    """How a reply is drawn.

    Each epoch is another draw: an assistant with a seed is asked with seed + epoch.
    """

    temperature: float | None = 1.0  # None: the server's own
    max_tokens: int = 256  # length of a reply at most
    seed: int | None = None
    stop: tuple[str, ...] = ()  # texts before which a reply ends
    grammar: str | None = None  # GBNF that a reply must match; local models only


USUAL = Settings()


class Reply(NamedTuple):
    """What an assistant said, and what it took."""

    text: str  # without anything that UTF-8 cannot store
    prompt_tokens: int
    completion_tokens: int
    cached: bool = False  # whether it was found instead of asked for
    finish: str = "stop"  # stop, length, cut (by us), or what the server calls it


Conversation = Sequence[tuple[str, str]]
"""Messages, or plain pairs (role, text)."""


class Assistant(Protocol):
    """Anything that answers.

    Example:
        >>> messages = [Message("user", "What is the capital of France?")]
        >>> reply = await assistant.reply(messages, Settings(max_tokens=20))
        >>> reply.text
        'The capital of France is Paris.'
    """

    @property
    def name(self) -> str:
        """Who answers, as far as it shapes replies: ``https://host/v1 model-x``."""
        ...

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = USUAL,
        epoch: int = 0,
    ) -> Reply:
        """The answer to the last message.

        Raises:
            Unanswered: if there is none, for a reason that lies in this request.
            RequestError: if no request can be answered: a wrong key, no such model.
        """
        ...


class Unanswered(RuntimeError):
    """All attempts failed; the text is one printable line that says why."""


class Unreachable(Unanswered):
    """No connection could be made, or the server refused all requests as too many; and
    in all that time no other one was answered either."""


class Absent(Paused):
    """Nobody answers for now. Replies so far are kept."""


class Exhausted(Paused):
    """What was to be spent is spent. Replies so far are kept and cost nothing again."""

    def __init__(self, reason: str, landing: float = 0.0) -> None:
        super().__init__(reason)
        self.landing = landing  # of it only reserved, for requests in flight


def conversation(messages: Conversation) -> tuple[Message, ...]:
    """Messages from pairs.

    Raises:
        RequestError: if there are none, or one has no known role or no text.
    """
    said = tuple(Message(*pair) for pair in messages)
    for role, text in said:
        if role not in ROLES or not isinstance(text, str):
            raise RequestError(
                f"a message is a role of {', '.join(ROLES)} and a text, "
                f"not {role!r} and {type(text).__name__}"
            )
    if not said:
        raise RequestError("an assistant is asked with one message at least")
    return said


def request_key(
    name: str, messages: Conversation, settings: Settings, epoch: int
) -> str:
    """The identity of a request: SHA-256 of its canonical JSON.

    Two requests have the same key if and only if any difference between their replies
    is chance: the same assistant, messages, settings and epoch.
    """
    chance = settings.temperature
    drawn = settings._replace(temperature=None if chance is None else float(chance))
    request: dict[str, Any] = {
        "assistant": name,
        "messages": [list(pair) for pair in messages],
        "settings": drawn._asdict(),
        "epoch": epoch,
    }
    return hashlib.sha256(canonical_json(request)).hexdigest()
