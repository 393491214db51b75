"""The comment line of an .xyz frame: columns, a cell, charge and multiplicity.

| on the line | is |
|---|---|
| ``Properties=species:S:1:pos:R:3:...`` | the columns, as extended XYZ defines them |
| ``Lattice=...``, or ``pbc`` with a true axis | a crystal, which is refused |
| ``charge=1``, ``Charge: 1``, ``total charge 1`` | the net charge |
| ``multiplicity=2``, ``mult: 2`` | 2S + 1 |
| ``0 1`` and nothing else, or ``* xyz 0 1`` | the net charge and 2S + 1 |
| ``spin=...`` | refused unless 0: S, 2S or 2S + 1, depending on the program |

All else is a comment.

Reference: the extended XYZ format of ASE, QUIP and OVITO,
https://github.com/libAtoms/extxyz.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from heliostat_tasks.vmc.molecules.elements import shorten
from heliostat_tasks.vmc.molecules.nuclei import MINUS

_PAIR = re.compile(r"""([A-Za-z_]\w*)=("[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|\S+)""")
_TWO_NUMBERS = re.compile(r"(?:\*\s*xyz\s+)?([+-]?[0-9]{1,4})[\s,]+([0-9]{1,4})")
_WHOLE = re.compile(r"([+-]?[0-9]{1,4})(?:\.0*)?")
_STATEMENT = (
    r"(?<![\w-])(?:{words})"
    r"(?:\s*[:=]\s*[\"']?([^\s,;\"']+)|\s+([+-]?[0-9]+)(?![\w.]))"
)
_CHARGE = r"(?:total|net|molecular)?[ _]?charge"
_MULTIPLICITY = r"(?:spin)?[ _]?mult(?:iplicity)?"
_FALSE, _TRUE = ("f", "false", "0"), ("t", "true", "1")


class Columns(NamedTuple):
    """Columns of a frame's rows."""

    label: int = 0  # of the symbol, label or atomic number
    x: int = 1  # of the first coordinate; y and z follow
    total: int | None = None  # of a row, if the line defines it


class Comment(NamedTuple):
    """Statements of a comment line; None where it makes none."""

    columns: Columns = Columns()
    charge: int | None = None  # elementary charges
    multiplicity: int | None = None  # 2S + 1


def parse(line: str, location: str, charge: bool, spin: bool) -> Comment:
    """Read the statements of a comment line.

    Args:
        line: the second line of a frame.
        location: file and line, with which messages begin.
        charge: true if the charge counts, false where the user gives another.
        spin: true if the multiplicity counts.

    Returns:
        The statements.

    Raises:
        ValueError: one line, for a crystal and for statements that make no sense.

    Example:
        >>> parse("Charge: 1, multiplicity=2", "line 2", True, True)[1:]
        (1, 2)
        >>> parse("Properties=forces:R:3:pos:R:3:species:S:1", "line 2", True, True)[0]
        Columns(label=6, x=3, total=7)
    """
    line = line.translate(MINUS).strip()
    pairs = {key.lower(): value for key, value in _PAIR.findall(line)}
    _refuse_crystal(pairs, location)
    columns = Columns()
    if "properties" in pairs:
        columns = _columns(pairs["properties"].strip("\"'"), location)
    if numbers := _TWO_NUMBERS.fullmatch(line):
        stated, multiplicity = map(int, numbers.groups())
    else:
        rest = re.sub(r"(?i)properties=\S+", "", line)
        stated = _stated(_CHARGE, rest, location, "charge", charge)
        multiplicity = _stated(_MULTIPLICITY, rest, location, "multiplicity", spin)
        if spin and multiplicity is None:
            multiplicity = _singlet(rest, location)
    if spin and multiplicity is not None and multiplicity < 1:
        raise ValueError(f"{location}: multiplicity {multiplicity} is not 2S + 1 >= 1")
    return Comment(columns, stated, multiplicity)


def _stated(
    words: str, line: str, location: str, name: str, needed: bool
) -> int | None:
    """Return the whole number after one of some words, None without such words."""
    pattern = re.compile(_STATEMENT.format(words=words), re.IGNORECASE)
    texts = [a or b for a, b in pattern.findall(line)]
    wrong = [text for text in texts if not _WHOLE.fullmatch(text)]
    numbers = {int(match[1]) for text in texts if (match := _WHOLE.fullmatch(text))}
    if needed and wrong:
        raise ValueError(
            f"{location}: {name} '{shorten(wrong[0])}' is not a whole number; correct "
            "the line, or give charge and spin yourself"
        )
    if needed and len(numbers) > 1:
        raise ValueError(f"{location}: {name} is stated twice, as {sorted(numbers)}")
    return numbers.pop() if len(numbers) == 1 else None


def _singlet(line: str, location: str) -> int | None:
    """Return 1 for a spin of 0; other spins are S, 2S or 2S + 1 in different programs.

    Raises:
        ValueError: for another spin.
    """
    pattern = re.compile(_STATEMENT.format(words="(?:total[ _])?spin"), re.IGNORECASE)
    for text in (a or b for a, b in pattern.findall(line)):
        if text not in ("0", "0.0"):
            raise ValueError(
                f"{location}: 'spin {shorten(text)}' may mean S, 2S or 2S + 1; give "
                "spin = n_up - n_down yourself, or write multiplicity=2S+1"
            )
        return 1
    return None


def _refuse_crystal(pairs: dict[str, str], location: str) -> None:
    axes = re.split(r"[\s,]+", pairs.get("pbc", "").strip("\"'[]{} ").lower())
    axes = [axis for axis in axes if axis]
    if unknown := [axis for axis in axes if axis not in _FALSE + _TRUE]:
        raise ValueError(
            f"{location}: pbc has '{shorten(unknown[0])}', expected T or F per axis"
        )
    if any(axis in _TRUE for axis in axes) or ("lattice" in pairs and not axes):
        raise ValueError(
            f"{location} describes a periodic system (Lattice, pbc), but vmc computes "
            'molecules; if the cell is only a box around one, write pbc="F F F"'
        )


def _columns(properties: str, location: str) -> Columns:
    """Return the columns that ``name:type:count:...`` describes."""
    parts = properties.split(":")
    starts: dict[str, tuple[int, int]] = {}
    column = 0
    if len(parts) % 3 or not all(re.fullmatch("[0-9]{1,3}", n) for n in parts[2::3]):
        raise ValueError(
            f"{location}: Properties '{shorten(properties)}' must be name:type:count, "
            "repeated, as in species:S:1:pos:R:3"
        )
    for name, count in zip(parts[0::3], map(int, parts[2::3]), strict=True):
        starts.setdefault(name.lower(), (column, count))
        column += count
    label = starts.get("species", starts.get("z"))
    place = starts.get("pos")
    if label is None or label[1] != 1 or place is None or place[1] != 3:
        raise ValueError(
            f"{location}: Properties '{shorten(properties)}' must have species:S:1 (or "
            "Z:I:1) and pos:R:3"
        )
    return Columns(label[0], place[0], column)
