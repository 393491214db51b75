"""Conversion of field values: to JSON, and to the types of fields."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, cast, get_args, get_origin

from heliostat.config.code import Code
from heliostat.errors import RequestError, did_you_mean


def canonical_json(value: Any) -> bytes:
    """Encode a JSON value in one spelling: keys sorted, no spaces, floats as ``repr``.

    Raises:
        ValueError: for NaN and infinities, which JSON does not have.

    Example:
        >>> canonical_json({"b": (1, 2.0), "a": None})
        b'{"a":null,"b":[1,2.0]}'
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
    )
    return text.encode()


def float_to_json(value: float) -> float | None:
    """Convert a number to JSON: None for NaN and infinities.

    Example:
        >>> float_to_json(0.5), float_to_json(float("inf"))
        (0.5, None)
    """
    return value if math.isfinite(value) else None


def float_from_json(value: float | None) -> float:
    """Convert a number from JSON: NaN for None."""
    return math.nan if value is None else value


def json_value(value: Any) -> Any:
    """Convert the value of a field to JSON.

    Raises:
        RequestError: for a value that no field can hold.
    """
    if isinstance(value, tuple | list):
        return [json_value(v) for v in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"{value}: expected a finite number")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise RequestError(
        f"{value!r} cannot be the value of a field: expected a number, text, "
        "tuple, hs.File or hs.Code"
    )


def coerce(value: Any, hint: Any, name: str) -> Any:
    """Convert ``value`` to the annotated type, if that is lossless."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        return _one_of(value, [a for a in args if a is not type(None)], name)
    if origin is Literal:
        if value in args:
            return value
        choice = ", ".join(map(str, args))
        hint_text = did_you_mean(str(value), map(str, args))
        raise RequestError(f"{name}={value!r}: expected one of {choice}{hint_text}")
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(coerce(v, k, name) for v, k in zip(value, kinds, strict=True))
    if hint is float and is_number(value):
        return float(cast(float, value))
    if hint in (int, bool) and type(value) is hint:
        return value
    if isinstance(hint, type) and issubclass(hint, str) and isinstance(value, str):
        return value if hint is Code and isinstance(value, Code) else hint(value)
    kind = getattr(hint, "__name__", str(hint)).lower()
    raise RequestError(f"{name}={value!r}: expected {_article(kind)} {kind}")


def _one_of(value: Any, hints: Sequence[Any], name: str) -> Any:
    """Convert ``value`` to the first hint (a word), or else to the second (code)."""
    words, *more = hints
    if not more or value in get_args(words):
        return coerce(value, words, name)
    try:
        return coerce(value, more[0], name)
    except RequestError:
        if isinstance(value, str) and ":" in value:
            raise
        return coerce(value, words, name)  # raises the error of the words


def is_number(value: Any) -> bool:
    """Return True for a finite int or float that is not a bool."""
    return type(value) in (int, float) and math.isfinite(value)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
