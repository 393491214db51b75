"""Nuclei as users write them: inline text or an .xyz file."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

from heliostat.errors import did_you_mean
from heliostat_tasks.vmc.molecules.geometries import BOHR, SYMBOLS

UNITS = {"angstrom": 1 / BOHR, "bohr": 1.0}
"""Length units by name, in bohr."""


class Nucleus(NamedTuple):
    """Symbol of an element and its position in bohr."""

    symbol: str
    position: tuple[float, float, float]


def is_file(text: str) -> bool:
    """Return true for a path: text that ends in .xyz or has a path separator."""
    return text.lower().endswith(".xyz") or "/" in text or os.sep in text


def from_file(path: str, unit: str) -> list[Nucleus]:
    """Read an .xyz file: a count, a comment, then ``symbol x y z`` on each line.

    Columns after the third coordinate (charges, forces) are ignored.

    Args:
        path: ``~`` is expanded.
        unit: ``"angstrom"``, which the format prescribes, or ``"bohr"``.

    Returns:
        The nuclei, in bohr.

    Raises:
        ValueError: one line that names the file and its faulty line.
    """
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(
            f"cannot read molecule file '{path}': {error.strerror or error}; "
            "check the path"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"cannot read '{path}': not a text file; give .xyz") from None
    count = _count(path, lines)
    rows = [(k, line) for k, line in enumerate(lines[2:], start=3) if line.strip()]
    if len(rows) != count:
        raise ValueError(
            f"'{path}' line 1 announces {count} nuclei but {len(rows)} lines follow "
            "the comment; correct the count or the lines"
        )
    return [_nucleus(line.split()[:4], f"'{path}' line {k}", unit) for k, line in rows]


def from_text(text: str, unit: str) -> list[Nucleus]:
    """Read ``"Li 0 0 0; H 0 0 1.595"``; newlines may replace semicolons.

    Example:
        >>> from_text("Li 0 0 0; H 0 0 3.015", "bohr")[1]
        Nucleus(symbol='H', position=(0.0, 0.0, 3.015))

    Raises:
        ValueError: one line that names the faulty nucleus.
    """
    lines = [line for line in text.replace("\n", ";").split(";") if line.strip()]
    return [
        _nucleus(line.replace(",", " ").split(), f"nucleus {k}", unit)
        for k, line in enumerate(lines, start=1)
    ]


def _count(path: str, lines: list[str]) -> int:
    head = lines[0].strip() if lines else ""
    if not head.isdecimal() or int(head) < 1:
        raise ValueError(
            f"'{path}' line 1 must be the number of nuclei, got '{head}'; "
            "an .xyz file is a count, a comment, then 'symbol x y z' lines"
        )
    return int(head)


def _nucleus(fields: list[str], location: str, unit: str) -> Nucleus:
    if len(fields) != 4:
        raise ValueError(
            f"{location} must be 'symbol x y z' like 'H 0 0 1.4', "
            f"got '{' '.join(fields)}'"
        )
    symbol, *numbers = fields
    if symbol not in SYMBOLS:
        raise ValueError(
            f"{location}: unknown element '{symbol}'{did_you_mean(symbol, SYMBOLS)} "
            "(elements H to Kr are known)"
        )
    x, y, z = (_coordinate(number, location, unit) for number in numbers)
    return Nucleus(symbol, (x, y, z))


def _coordinate(number: str, location: str, unit: str) -> float:
    """Convert a coordinate to bohr."""
    try:
        value = float(number) * UNITS[unit]
    except ValueError:
        raise ValueError(
            f"{location}: '{number}' is not a number; give coordinates like 1.595"
        ) from None
    if not math.isfinite(value):
        raise ValueError(f"{location}: coordinate '{number}' must be finite")
    return value + 0.0  # -0.0 becomes 0.0: one spelling of one position
