"""Values for readers: estimates with errors, and the answers of verbs.

Tasks may have verbs of their own (:meth:`heliostat.Task.verbs`), so this module lies
below the command line, which prints answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

INCONCLUSIVE = "INCONCLUSIVE"
"""Word for a verification or a law that could not be tried to its end."""


class Estimate(NamedTuple):
    """Estimate of a quantity, with its one-sigma error and its unit.

    Args:
        value: the estimate.
        error: one standard deviation, in the same unit; NaN if unknown.
        units: CF unit, ``"1"`` if dimensionless.
        source: origin of the value; ``"this run"`` unless it is a reference.

    Example:
        >>> import heliostat as hs
        >>> str(hs.Estimate(-8.0705, 2e-4, "hartree"))
        '-8.07050(20) hartree'
    """

    value: float
    error: float = float("nan")
    units: str = "1"
    source: str = "this run"

    def __str__(self) -> str:
        unit = "" if self.units == "1" else f" {self.units}"
        return format_estimate(self.value, self.error) + unit


ROUNDING = 2e-15
"""Relative to a value: smaller errors are rounding in float64."""


def format_estimate(value: float, error: float) -> str:
    """Format a value with its error in parentheses, to two digits of the error.

    An unknown error, and one of the size of rounding, is left out.

    Example:
        >>> format_estimate(-8.0705, 2e-4), format_estimate(0.5, 3e-17)
        ('-8.07050(20)', '0.5')
    """
    least = ROUNDING * abs(value) if math.isfinite(value) else 0.0
    if not least < error < math.inf:
        return f"{value:.7g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{digits}f}({round(error * 10**digits):d})"


class Answer(NamedTuple):
    """Lines and tables, the object of ``--json``, and the exit status.

    Args:
        text: lines (str) and whatever else rich prints, such as tables.
        data: the object that ``--json`` prints.
        status: 0 complete (ACCEPT), 1 failed (REJECT), 3 INCONCLUSIVE.

    Example:
        >>> import heliostat as hs
        >>> hs.Answer(["2 items"], {"items": 2}).status
        0
    """

    text: Iterable[Any]
    data: Mapping[str, Any] | None = None
    status: int = 0
