"""Canonical JSON (RFC 8785): one spelling per value, read strictly.

``rfc8785`` writes it. Reading refuses every other spelling of the same value, so that
equal bodies have equal digests; nothing is executed and no size is believed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import rfc8785

import heliostat as hs

MAX_DEPTH = 16
MAX_JSON = 8 << 20
"""Bytes."""

TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Refused(hs.RequestError):
    """A transcript is malformed or contradicts itself; the message is one line.

    The message never repeats content of the transcript, which may be anything.
    """


def to_json(value: Any) -> bytes:
    """Write a value as canonical JSON, floats as their hexadecimal text.

    Example:
        >>> to_json({"b": 0.5, "a": [1, None]})
        b'{"a":[1,null],"b":"0x1.0000000000000p-1"}'
    """
    return rfc8785.dumps(_hex_floats(value))


def parse_json(content: bytes, label: str) -> Any:
    """Read canonical JSON strictly.

    Args:
        content: a stranger's bytes.
        label: name of the content, for messages.

    Raises:
        Refused: for every other spelling, too: duplicate keys, spaces, NaN, numbers
            other than integers, and nesting deeper than ``MAX_DEPTH``.
    """
    if len(content) > MAX_JSON:
        raise Refused(f"{label} has more than {MAX_JSON} bytes")
    if nesting(content) > MAX_DEPTH:
        raise Refused(f"{label} is nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=unique_keys,
            parse_constant=_refuse_constant,
        )
        same = rfc8785.dumps(value) == content and not _has_float(value)
    except (ValueError, RecursionError, OverflowError) as error:
        raise Refused(f"{label} is no canonical JSON") from error
    if not same:
        raise Refused(f"{label} is no canonical JSON")
    return value


def parse_float(text: Any, label: str) -> float:
    """Read a float from its hexadecimal text.

    Raises:
        Refused: for anything else, also for infinities and NaN.
    """
    try:
        value = float.fromhex(text)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(f"{label}: expected a hexadecimal float") from error
    if not np.isfinite(value) or value.hex() != text:
        raise Refused(f"{label}: expected a finite hexadecimal float")
    return value


def sha256(content: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def nesting(content: bytes) -> int:
    """Depth of brackets outside of texts, before anything is parsed."""
    brackets = np.frombuffer(TEXT.sub(b"", content), np.uint8)
    up = (brackets == ord("[")) | (brackets == ord("{"))
    down = (brackets == ord("]")) | (brackets == ord("}"))
    return int(np.cumsum(up.astype(np.int32) - down).max(initial=0))


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of a JSON object, for ``object_pairs_hook``.

    Raises:
        ValueError: for a key that occurs twice.
    """
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


def _hex_floats(value: Any) -> Any:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(k): _hex_floats(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_hex_floats(v) for v in value]
    return value


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_float, value))
    return type(value) is float


def _refuse_constant(text: str) -> Any:
    raise ValueError("no number")
