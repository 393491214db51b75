"""Providers: the format of requests and replies, one table entry for each API.

A reply must hold one text, otherwise it is :class:`MalformedReply`.  Other fields
(token counts, finish reasons) are used if they have the documented type, and ignored
otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from heliostat.assistants.message import Messages, Settings
from heliostat.errors import RequestError

_MAX_DIGITS = 20  # longer integers are read as infinity: parsing them takes long


class MalformedReply(ValueError):
    """The reply does not have the documented format; the text says what is wrong."""


class NoText(MalformedReply):
    """The reply is complete, but holds something else than text."""


class Completion(NamedTuple):
    """A reply as the server sent it; tokens are None if it did not count them."""

    text: str
    finish: str
    prompt_tokens: int | None
    completion_tokens: int | None


class Provider(NamedTuple):
    """One chat API."""

    path: str  # after the base address
    key_header: str  # the header that holds the key
    key_prefix: str  # before the key in that header
    extra_headers: dict[str, str]
    build_body: Callable[[str, Messages, Settings], dict[str, Any]]
    parse: Callable[[dict[str, Any]], Completion]


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        MalformedReply: if it is no object, not UTF-8 or nested too deep.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_int=_parse_int)
    except (ValueError, RecursionError) as error:
        raise MalformedReply("the reply is no JSON, or ends too early") from error
    return _expect(value, dict, "the reply")


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float("inf")


def _openai_body(model: str, messages: Messages, settings: Settings) -> dict[str, Any]:
    return _without_none(
        model=model,
        messages=[{"role": role, "content": text} for role, text in messages],
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        seed=settings.seed,
        stop=list(settings.stop) or None,
        grammar=settings.grammar,
    )


def _parse_openai(reply: dict[str, Any]) -> Completion:
    choice = _first_choice(reply.get("choices"))
    reason = choice.get("finish_reason")
    finish = "stop" if reason is None else _string_or_unknown(reason)
    message = choice.get("message")
    if message is None and finish == "content_filter":
        message = {}
    return Completion(
        _text(_expect(message, dict, "message"), finish),
        finish,
        *_tokens(reply.get("usage"), "prompt_tokens", "completion_tokens"),
    )


def _first_choice(choices: Any) -> dict[str, Any]:
    """Return the choice with index 0, in whatever order the server sent them."""
    if not _expect(choices, list, "choices"):
        raise MalformedReply("choices is empty")
    first = [c for c in choices if isinstance(c, dict) and c.get("index") == 0]
    return _expect([*first, *choices][0], dict, "a choice")


def _text(message: dict[str, Any], finish: str) -> str:
    """Return the content of a message, the text of its parts, or its refusal."""
    content, refusal = message.get("content"), message.get("refusal")
    parts = _text_parts(content) if isinstance(content, list) else None
    if parts is not None:
        content = "".join(parts) if parts or not content else None
    if not content and refusal and isinstance(refusal, str):
        return refusal
    if content is None and finish in _MAY_BE_EMPTY:
        return ""
    if content is None and (message.get("tool_calls") or finish == "tool_calls"):
        raise NoText("the reply calls tools, and says nothing")
    if content is None and parts is not None:
        raise NoText("no part of the reply is a text")
    return _expect(content, str, "content")


_MAY_BE_EMPTY = frozenset(("length", "model_length", "max_tokens", "content_filter"))
"""Finish reasons of replies without text: all was reasoning, or was filtered."""

_TEXT_FIELDS = {"text": "text", "output_text": "text", "refusal": "refusal"}
"""Field that holds the text, by type of part.  Other parts, such as reasoning, are
ignored."""


def _text_parts(parts: list[Any]) -> list[str]:
    checked = [_expect(part, dict, "a part of content") for part in parts]
    types = [str(part.get("type") or "text") for part in checked]
    texts = [
        part.get(_TEXT_FIELDS[type_])
        for part, type_ in zip(checked, types, strict=True)
        if type_ in _TEXT_FIELDS
    ]
    return [_expect(text, str, "a part's text") for text in texts]


def _anthropic_body(
    model: str, messages: Messages, settings: Settings
) -> dict[str, Any]:
    if settings.grammar is not None:
        raise RequestError(
            "a grammar was given: expected none, this provider has no grammars"
        )
    system = "\n\n".join(text for role, text in messages if role == "system")
    turns = [{"role": r, "content": text} for r, text in messages if r != "system"]
    return _without_none(
        model=model,
        system=system or None,
        messages=turns,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        stop_sequences=list(settings.stop) or None,
    )


_FINISHES = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


def _parse_anthropic(reply: dict[str, Any]) -> Completion:
    reason = reply.get("stop_reason")
    finish = _string_or_unknown(reason)
    parts = _expect(reply.get("content"), list, "content")
    if not parts and reason is None:  # with a reason, an empty reply is complete
        raise MalformedReply("content is empty")
    text = "".join(_text_parts(parts))
    if finish == "tool_use" and not text:
        raise NoText("the reply calls tools, and says nothing")
    return Completion(
        text,
        _FINISHES.get(finish, finish),
        *_tokens(reply.get("usage"), "input_tokens", "output_tokens"),
    )


PROVIDERS = {
    "openai": Provider(
        path="/chat/completions",
        key_header="Authorization",
        key_prefix="Bearer ",
        extra_headers={},
        build_body=_openai_body,
        parse=_parse_openai,
    ),
    "anthropic": Provider(
        path="/messages",
        key_header="x-api-key",
        key_prefix="",
        extra_headers={"anthropic-version": "2023-06-01"},
        build_body=_anthropic_body,
        parse=_parse_anthropic,
    ),
}


def error_message(body: bytes) -> str:
    """Return the error message of a body; empty if there is none.

    Both providers send ``{"error": {"message": ...}}``, other servers ``detail`` or
    ``message``.  HTML pages are ignored.

    Example:
        >>> error_message(b'{"error": {"message": "no such model"}}')
        'no such model'
    """
    try:
        reply = parse_json(body)
    except MalformedReply:
        return ""
    error = reply.get("error") or reply.get("detail") or reply.get("message")
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


_NEWER_NAMES = {"max_tokens": "max_completion_tokens"}


def renamed_fields(message: str, body: dict[str, Any]) -> dict[str, str]:
    """Return the new names of fields that an error message asks for, by old name.

    Example:
        >>> renamed_fields("use max_completion_tokens instead", {"max_tokens": 9})
        {'max_tokens': 'max_completion_tokens'}
    """
    names = _NEWER_NAMES.items()
    return {old: new for old, new in names if old in body and new in message}


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _string_or_unknown(value: Any) -> str:
    return value if isinstance(value, str) else "unknown"


def _expect(value: Any, type_: type, name: str) -> Any:
    """Return the value if it has the type; raise MalformedReply otherwise."""
    if not isinstance(value, type_):
        raise MalformedReply(f"{name} is {_describe(value)}, expected {_NAMES[type_]}")
    return value


_NAMES = {dict: "an object", str: "a string", list: "a list"}


def _describe(value: Any) -> str:
    return "missing" if value is None else _NAMES.get(type(value), "a number")


def _tokens(usage: Any, *names: str) -> list[int | None]:
    """Return the token counts of a reply; None for what is no count."""
    return [_count(usage.get(n) if isinstance(usage, dict) else None) for n in names]


def _count(value: Any) -> int | None:
    whole = type(value) is int or (type(value) is float and value.is_integer())
    return int(value) if whole and value >= 0 else None
