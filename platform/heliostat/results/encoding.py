"""Encode estimates for JSON, which holds fewer values."""

from __future__ import annotations

import math
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
