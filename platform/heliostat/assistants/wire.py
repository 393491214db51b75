"""What stands in a request and a reply: a table for each manner of speaking.

A reply is its text: where there is none, or not one, the reply is :class:`Malformed`.
What is said beside it (counts, reasons) is taken as it was promised, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from heliostat.assistants.message import Message, Settings
from heliostat.errors import RequestError

_DIGITS = 20  # of a whole number; longer ones count nothing and take long to read


class Malformed(ValueError):
    """A reply that cannot be understood; the text says what is wrong with it."""


class NoText(Malformed):
    """A reply that is whole, and holds something else instead of a text."""


class Said(NamedTuple):
    """A reply as it came; tokens are None where the server did not count."""

    text: str
    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None


class Wire(NamedTuple):
    """How one family of servers is spoken to."""

    path: str  # after the base address
    header: str  # that holds the key
    scheme: str  # before the key
    extra: dict[str, str]  # more headers
    body: Callable[[str, tuple[Message, ...], Settings], dict[str, Any]]
    said: Callable[[dict[str, Any]], Said]


def loaded(body: bytes) -> dict[str, Any]:
    """The object that a body spells.

    Raises:
        Malformed: if it is none, is not UTF-8 or nests without end.
    """
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise Malformed("the reply is no JSON, or ends too early") from error
    return _kind(found, dict, "the reply")


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float("inf")


def _openai_body(
    model: str, messages: tuple[Message, ...], settings: Settings
) -> dict[str, Any]:
    return _given(
        model=model,
        messages=[{"role": role, "content": text} for role, text in messages],
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        seed=settings.seed,
        stop=list(settings.stop) or None,
        grammar=settings.grammar,
    )


def _openai_said(reply: dict[str, Any]) -> Said:
    choice = _choice(reply.get("choices"))
    told = choice.get("finish_reason")
    finish = "stop" if told is None else told if isinstance(told, str) else "unknown"
    message = choice.get("message")
    if message is None and finish == "content_filter":
        message = {}
    return Said(
        _text(_kind(message, dict, "message"), finish),
        finish,
        *_tokens(reply.get("usage"), "prompt_tokens", "completion_tokens"),
    )


def _choice(choices: Any) -> dict[str, Any]:
    """The first of those that a server offers, in whatever order they stand."""
    if not _kind(choices, list, "choices"):
        raise Malformed("choices is empty")
    named = [c for c in choices if isinstance(c, dict) and c.get("index") == 0]
    return _kind([*named, *choices][0], dict, "a choice")


def _text(message: dict[str, Any], finish: str) -> str:
    """A text; parts of one; or the words of a refusal, which some send beside it."""
    content, refusal = message.get("content"), message.get("refusal")
    parts = _texts(content) if isinstance(content, list) else None
    if parts is not None:
        content = "".join(parts) if parts or not content else None
    if not content and refusal and isinstance(refusal, str):
        return refusal
    if content is None and finish in _WITHOUT_TEXT:
        return ""
    if content is None and (message.get("tool_calls") or finish == "tool_calls"):
        raise NoText("the reply calls tools, and says nothing")
    if content is None and parts is not None:
        raise NoText("no part of the reply is a text")
    return _kind(content, str, "content")


_WITHOUT_TEXT = frozenset(("length", "model_length", "max_tokens", "content_filter"))
"""How a reply may come to its end without any: all was thinking, or was filtered."""

_WORDS = {"text": "text", "output_text": "text", "refusal": "refusal"}
"""Parts that are said, and where they say it; others are thoughts, and the like."""


def _texts(parts: list[Any]) -> list[str]:
    told = [_kind(part, dict, "a part of content") for part in parts]
    kinds = [str(part.get("type") or "text") for part in told]
    found = [p.get(_WORDS[k]) for p, k in zip(told, kinds, strict=True) if k in _WORDS]
    return [_kind(text, str, "a part's text") for text in found]


def _anthropic_body(
    model: str, messages: tuple[Message, ...], settings: Settings
) -> dict[str, Any]:
    if settings.grammar is not None:
        raise RequestError("this kind of server knows no grammar")
    system = "\n\n".join(text for role, text in messages if role == "system")
    turns = [{"role": r, "content": text} for r, text in messages if r != "system"]
    return _given(
        model=model,
        system=system or None,
        messages=turns,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        stop_sequences=list(settings.stop) or None,
    )


_FINISHES = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


def _anthropic_said(reply: dict[str, Any]) -> Said:
    """A list without parts is a reply, too: there was no more to say."""
    told = reply.get("stop_reason")
    finish = told if isinstance(told, str) else "unknown"
    parts = _kind(reply.get("content"), list, "content")
    if not parts and told is None:
        raise Malformed("content is empty")
    text = "".join(_texts(parts))
    if finish == "tool_use" and not text:
        raise NoText("the reply calls tools, and says nothing")
    return Said(
        text,
        _FINISHES.get(finish, finish),
        *_tokens(reply.get("usage"), "input_tokens", "output_tokens"),
    )


WIRES = {
    "openai": Wire(
        "/chat/completions", "Authorization", "Bearer ", {}, _openai_body, _openai_said
    ),
    "anthropic": Wire(
        "/messages",
        "x-api-key",
        "",
        {"anthropic-version": "2023-06-01"},
        _anthropic_body,
        _anthropic_said,
    ),
}


def complaint(body: bytes) -> str:
    """What the server says is wrong, as it says it; empty if it does not.

    Both families send ``{"error": {"message": ...}}``, others ``detail`` or
    ``message``; pages for people are left out.
    """
    try:
        found = loaded(body)
    except Malformed:
        return ""
    error = found.get("error") or found.get("detail") or found.get("message")
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


_NEWER = {"max_tokens": "max_completion_tokens"}


def renamed(said: str, body: dict[str, Any]) -> dict[str, str]:
    """Names that a server asks for, in what it says is wrong, instead of ours.

    Example:
        >>> renamed("use max_completion_tokens instead", {"max_tokens": 9})
        {'max_tokens': 'max_completion_tokens'}
    """
    return {old: new for old, new in _NEWER.items() if old in body and new in said}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _kind(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        raise Malformed(f"{what} is {_article(value)}, expected {_NAMES[kind]}")
    return value


_NAMES = {dict: "an object", str: "a string", list: "a list"}


def _article(value: Any) -> str:
    return "missing" if value is None else _NAMES.get(type(value), "a number")


def _tokens(usage: Any, *names: str) -> list[int | None]:
    """The counts that the server gives; what can be none is not counted."""
    return [_count(usage.get(n) if isinstance(usage, dict) else None) for n in names]


def _count(given: Any) -> int | None:
    whole = type(given) is int or (type(given) is float and given.is_integer())
    return int(given) if whole and given >= 0 else None
