"""Nuclei as users write them in text, and the numbers that count as coordinates."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from heliostat_tasks.vmc.molecules.elements import SYMBOLS, element, remarks, shorten
from heliostat_tasks.vmc.molecules.geometries import BOHR, BUILTIN

UNITS = {"angstrom": 1 / BOHR, "bohr": 1.0}
"""Length units by name, in bohr."""

CLOSEST = 0.1
"""Least distance of two nuclei, bohr. No molecule is so tight (H2 has 1.4); a mistaken
unit or a repeated line is."""

MOST = 1000
"""Most nuclei of a molecule: a larger file is a protein or a trajectory by mistake."""

MINUS = str.maketrans("\N{MINUS SIGN}\N{EN DASH}", "--")
"""Signs that a text processor writes for minus."""

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:(?:[eEdD]|\*\^)[+-]?[0-9]+)?"
)
_EXPONENT = re.compile(r"[dD]|\*\^")  # of Fortran, and of Mathematica in QM9


class Nucleus(NamedTuple):
    """Symbol of an element and its position in bohr."""

    symbol: str
    position: tuple[float, float, float]


class Structure(NamedTuple):
    """Nuclei, and the rest of a file or text that belongs to a molecule."""

    nuclei: list[Nucleus]
    charge: int | None = None  # of the comment line, elementary charges
    multiplicity: int | None = None  # of the comment line, 2S + 1
    remarks: tuple[str, ...] = ()  # sentences for the reader of results


def nucleus(fields: Sequence[str], location: str, unit: str) -> Nucleus:
    """Return the nucleus of a label and three coordinates.

    Example:
        >>> nucleus(["he1", "0", "1.0D-1", "0"], "line 3", "bohr")
        Nucleus(symbol='He', position=(0.0, 0.1, 0.0))

    Raises:
        ValueError: one line that begins with the location.
    """
    if len(fields) != 4:
        raise ValueError(
            f"{location} must be 'symbol x y z' like 'H 0 0 1.4', "
            f"got '{shorten(' '.join(fields))}'"
        )
    label, *numbers = fields
    try:
        symbol = element(label)
    except ValueError as error:
        raise ValueError(f"{location}: {error}") from None
    x, y, z = (_coordinate(number, location, unit) for number in numbers)
    return Nucleus(symbol, (x, y, z))


def from_text(text: str, unit: str) -> Structure:
    """Read ``"Li 0 0 0; H 0 0 1.595"``; newlines may replace semicolons.

    Example:
        >>> from_text("Li 0 0 0; H 0 0 3.015", "bohr").nuclei[1]
        Nucleus(symbol='H', position=(0.0, 0.0, 3.015))

    Raises:
        ValueError: one line that names the faulty nucleus.
    """
    lines = [line for line in text.replace("\n", ";").split(";") if line.strip()]
    rows = [line.replace(",", " ").split() for line in lines]
    if len(rows) == 1 and (label := rows[0][0]) in BUILTIN and label not in SYMBOLS:
        raise ValueError(f"nucleus 1: {label} is no atom; write '{label}' alone")
    nuclei = [nucleus(row, f"nucleus {k}", unit) for k, row in enumerate(rows, start=1)]
    return Structure(nuclei, remarks=tuple(remarks(row[0] for row in rows)))


def check_distances(nuclei: list[Nucleus]) -> None:
    """Refuse nuclei that are too many, or too close to each other.

    Raises:
        ValueError: one line.
    """
    if len(nuclei) > MOST:
        raise ValueError(f"{len(nuclei)} nuclei, but a molecule has at most {MOST}")
    for (i, a), (j, b) in combinations(enumerate(nuclei, start=1), 2):
        distance = math.dist(a.position, b.position)
        if distance < CLOSEST:
            raise ValueError(
                f"nuclei {i} ({a.symbol}) and {j} ({b.symbol}) are too close: "
                f"{distance:.3g} bohr, expected at least {CLOSEST}; move one, or check "
                "the unit"
            )


def _coordinate(number: str, location: str, unit: str) -> float:
    """Convert a coordinate to bohr."""
    plain = number.translate(MINUS)
    if not _NUMBER.fullmatch(plain):
        advice = "write a point, like 1.595" if "," in number else "like 1.595"
        raise ValueError(
            f"{location}: '{shorten(number)}' is not a number; give finite "
            f"coordinates, {advice}"
        )
    value = float(_EXPONENT.sub("e", plain)) * UNITS[unit]
    if not math.isfinite(value):
        raise ValueError(f"{location}: coordinate '{shorten(number)}' must be finite")
    return value + 0.0  # -0.0 becomes 0.0: one spelling of one position
