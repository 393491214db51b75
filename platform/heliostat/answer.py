"""Values for readers: estimates with errors, and the answers of verbs.

Tasks may have verbs of their own (:meth:`heliostat.Task.verbs`), so this module lies
below the command line, which prints answers.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

INCONCLUSIVE: Final = "INCONCLUSIVE"
"""Word for a verification or a law that could not be tried to its end."""


class Estimate(NamedTuple):
    """Estimate of a quantity, with its one-sigma error and its unit.

    Args:
        value: the estimate.
        error: one standard deviation, in the same unit; NaN if unknown.
        units: CF unit, ``"1"`` if dimensionless.
        source: origin of the value; ``"this run"`` unless it is a reference.
        note: what the value is of, such as the statistic that is worst.
        warning: reason not to trust the value, or others beside it.

    Example:
        >>> import heliostat as hs
        >>> str(hs.Estimate(-8.0705, 2e-4, "hartree"))
        '-8.07050(20) hartree'
    """

    value: float
    error: float = float("nan")
    units: str = "1"
    source: str = "this run"
    note: str = ""
    warning: str = ""

    def __str__(self) -> str:
        unit = "" if self.units == "1" else f" {self.units}"
        return format_estimate(self.value, self.error) + unit


def headline_lines(headline: Mapping[str, Estimate]) -> list[str]:
    """Return a line for each estimate, with its source, its note and its warning.

    Example:
        >>> headline_lines({"rhat": Estimate(1.5, note="lp", warning="above 1.01")})
        ['  rhat = 1.5  (this run; lp)  WARNING: above 1.01']
    """
    width = max(map(len, headline), default=0)
    return [
        f"  {name:{width}} = {value}{_remarks(value)}"
        for name, value in headline.items()
    ]


def warnings_of(headline: Mapping[str, Estimate]) -> list[str]:
    """Return a short line for each estimate with a warning.

    Example:
        >>> warnings_of({"x": Estimate(1.0), "ess": Estimate(9.0, warning="below 400")})
        ['ess = 9: below 400']
    """
    return [f"{n} = {e}: {e.warning}" for n, e in headline.items() if e.warning]


def _remarks(estimate: Estimate) -> str:
    about = "; ".join(filter(None, (estimate.source, estimate.note)))
    warning = f"  WARNING: {estimate.warning}" if estimate.warning else ""
    return (f"  ({about})" if about else "") + warning


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


def command(*words: object) -> str:
    """Return a command line that can be pasted into a shell.

    Example:
        >>> command("export", "0123", "-o", "my rows.nc")
        "heliostat export 0123 -o 'my rows.nc'"
    """
    return shlex.join(["heliostat", *map(str, words)])


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
