"""Values of fields as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from heliostat.errors import RequestError


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
