"""Messages, settings, replies and errors: the contract of all assistants."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from heliostat.config import canonical_json
from heliostat.errors import Paused, RequestError

ROLES = ("system", "user", "assistant")


class Message(NamedTuple):
    """One message of a conversation: a pair of strings, hence JSON as it is."""

    role: str  # system, user or assistant
    text: str


Messages = tuple[Message, ...]

Conversation = Sequence[tuple[str, str]]
"""Messages, or plain pairs (role, text)."""


class Settings(NamedTuple):
    """Sampling parameters of a reply.

    Each epoch is another sample: with a seed, the request is sent with seed + epoch.
    """

    temperature: float | None = 1.0  # None: the server's default
    max_tokens: int = 256  # longest reply
    seed: int | None = None
    stop: tuple[str, ...] = ()  # texts before which a reply ends
    grammar: str | None = None  # GBNF that a reply must match; local models only


DEFAULT_SETTINGS = Settings()


class Reply(NamedTuple):
    """The text of a reply and its tokens."""

    text: str  # without characters that UTF-8 cannot store
    prompt_tokens: int
    completion_tokens: int
    cached: bool = False  # whether the reply came from the cache
    finish: str = "stop"  # stop, length, cut (by us), or the server's own word


class Assistant(Protocol):
    """Anything that replies to messages.

    Example:
        >>> import asyncio
        >>> from heliostat.assistants import Scripted
        >>> assistant = Scripted(lambda messages, epoch, u: "Paris.", name="one reply")
        >>> messages = [Message("user", "What is the capital of France?")]
        >>> asyncio.run(assistant.reply(messages, Settings(max_tokens=20))).text
        'Paris.'
    """

    @property
    def name(self) -> str:
        """Everything beside the request that shapes replies: ``https://host/v1 m``.

        The name is part of the cache key.
        """
        ...

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = DEFAULT_SETTINGS,
        epoch: int = 0,
    ) -> Reply:
        """Return the reply to the last message.

        Args:
            messages: the conversation so far, at least one message.
            settings: sampling parameters.
            epoch: number of the sample, for several replies to one request.

        Raises:
            Unanswered: if this request has no reply; others may have one.
            RequestError: if no request can succeed: a wrong key, no such model.
        """
        ...


class Unanswered(RuntimeError):
    """A request has no reply. The text is one printable line with the reason."""


class Unreachable(Unanswered):
    """The server answers no request: no connection, or all are refused as too many."""


class ServerSilent(Paused):
    """The server answers no request for now. Replies so far are cached."""


class BudgetExhausted(Paused):
    """The next request could exceed the cap. Replies so far are cached and free.

    Args:
        reason: one line.
        in_flight: money that is only reserved, for requests of running processes.
    """

    def __init__(self, reason: str, in_flight: float = 0.0) -> None:
        super().__init__(reason)
        self.in_flight = in_flight


def check_messages(messages: Conversation) -> Messages:
    """Return the pairs as messages.

    Args:
        messages: pairs (role, text).

    Raises:
        RequestError: if there is none, or one has an unknown role or no text.

    Example:
        >>> check_messages([("user", "Hello")])
        (Message(role='user', text='Hello'),)
    """
    checked = tuple(Message(*pair) for pair in messages)
    for role, text in checked:
        if role not in ROLES or not isinstance(text, str):
            raise RequestError(
                f"a message is a role of {', '.join(ROLES)} and a text, "
                f"not {role!r} and {type(text).__name__}"
            )
    if not checked:
        raise RequestError("expected at least one message")
    return checked


def request_key(
    name: str, messages: Conversation, settings: Settings, epoch: int
) -> str:
    """Return the cache key of a request: the SHA-256 of its canonical JSON.

    Two requests have the same key if and only if their replies differ by chance
    alone: the same assistant, messages, settings and epoch.

    Args:
        name: name of the assistant.
        messages: the conversation.
        settings: sampling parameters.
        epoch: number of the sample.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> hello = [("user", "Hello")]
        >>> one = request_key("model-x", hello, Settings(), epoch=0)
        >>> one == request_key("model-x", hello, Settings(), epoch=1)
        False
    """
    temperature = settings.temperature
    if temperature is not None:
        settings = settings._replace(temperature=float(temperature))
    request: dict[str, Any] = {
        "assistant": name,
        "messages": [list(pair) for pair in messages],
        "settings": settings._asdict(),
        "epoch": epoch,
    }
    return hashlib.sha256(canonical_json(request)).hexdigest()
