"""Nuclei from what a user writes: inline text, or the content of an .xyz file."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from heliostat_tasks.vmc.geometries import BOHR, SYMBOLS

UNITS = {"angstrom": 1 / BOHR, "bohr": 1.0}
"""Length units by name, in bohr."""


class Nucleus(NamedTuple):
    """An element's symbol, and where it sits in bohr."""

    symbol: str
    position: tuple[float, float, float]


def is_file(text: str) -> bool:
    """Whether ``text`` is meant as a path: it ends in .xyz or holds a separator."""
    return text.lower().endswith(".xyz") or "/" in text or os.sep in text


def from_file(path: str, unit: str) -> list[Nucleus]:
    """The nuclei of an .xyz file: a count, a comment, then ``symbol x y z`` per line.

    Columns behind the third coordinate (charges, forces) are passed over.

    Args:
        path: ``~`` is expanded.
        unit: ``"angstrom"``, which the format prescribes, or ``"bohr"``.

    Raises:
        ValueError: one line that names the file, and the line at fault.
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
    found = [(k, line) for k, line in enumerate(lines[2:], start=3) if line.strip()]
    if len(found) != count:
        raise ValueError(
            f"'{path}' line 1 announces {count} nuclei but {len(found)} lines follow "
            "the comment; correct the count or the lines"
        )
    return [_nucleus(line.split()[:4], f"'{path}' line {k}", unit) for k, line in found]


def from_text(text: str, unit: str) -> list[Nucleus]:
    """The nuclei of ``"Li 0 0 0; H 0 0 1.595"``; newlines do for semicolons.

    Example:
        >>> from_text("Li 0 0 0; H 0 0 3.015", "bohr")[1]
        Nucleus(symbol='H', position=(0.0, 0.0, 3.015))

    Raises:
        ValueError: one line that names the nucleus at fault.
    """
    lines = [line for line in text.replace("\n", ";").split(";") if line.strip()]
    return [
        _nucleus(line.replace(",", " ").split(), f"nucleus {k}", unit)
        for k, line in enumerate(lines, start=1)
    ]


def near(given: str, known: Iterable[str]) -> str:
    """``"; did you mean 'LiH'?"``, whatever the case, or nothing if nothing is near."""
    names = {name.lower(): name for name in reversed(list(known))}
    found = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean '{names[found[0]]}'?" if found else ""


def _count(path: str, lines: list[str]) -> int:
    head = lines[0].strip() if lines else ""
    if not head.isdecimal() or int(head) < 1:
        raise ValueError(
            f"'{path}' line 1 must be the number of nuclei, got '{head}'; "
            "an .xyz file is a count, a comment, then 'symbol x y z' lines"
        )
    return int(head)


def _nucleus(fields: list[str], where: str, unit: str) -> Nucleus:
    if len(fields) != 4:
        raise ValueError(
            f"{where} must be 'symbol x y z' like 'H 0 0 1.4', got '{' '.join(fields)}'"
        )
    symbol, *numbers = fields
    if symbol not in SYMBOLS:
        raise ValueError(
            f"{where}: unknown element '{symbol}'{near(symbol, SYMBOLS)} "
            "(elements H to Kr are known)"
        )
    x, y, z = (_coordinate(number, where, unit) for number in numbers)
    return Nucleus(symbol, (x, y, z))


def _coordinate(number: str, where: str, unit: str) -> float:
    """In bohr."""
    try:
        value = float(number) * UNITS[unit]
    except ValueError:
        raise ValueError(
            f"{where}: '{number}' is not a number; give coordinates like 1.595"
        ) from None
    if not math.isfinite(value):
        raise ValueError(f"{where}: coordinate '{number}' must be finite")
    return value + 0.0  # -0.0 becomes 0.0: one spelling of one place
