"""Encode estimates for JSON and attributes for netCDF, which hold fewer values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from heliostat.answer import Estimate


def estimate_to_json(estimate: Estimate) -> list[Any]:
    """Return an estimate as a JSON array: null for NaN, a text for infinity.

    Example:
        >>> estimate_to_json(Estimate(1.5, float("nan"), "bohr"))[:3]
        [1.5, None, 'bohr']
    """
    return [
        v if isinstance(v, str) or math.isfinite(v) else None if v != v else str(v)
        for v in estimate
    ]


def estimate_from_json(
    value: float | str | None, error: float | str | None, *more: str
) -> Estimate:
    """Return the estimate that :func:`estimate_to_json` encoded."""
    numbers = [float("nan") if v is None else float(v) for v in (value, error)]
    return Estimate(numbers[0], numbers[1], *more)


def netcdf_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes that netCDF can hold.

    Numbers and texts stay, None is left out, all else becomes JSON.

    Example:
        >>> netcdf_attrs({"seed": 0, "x64": True, "fields": {"a": 1}, "steps": None})
        {'seed': 0, 'x64': 'true', 'fields': '{"a": 1}'}
    """
    return {
        str(name): value if _is_plain(value) else json.dumps(value)
        for name, value in attrs.items()
        if value is not None
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)
