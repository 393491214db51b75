"""Elements as chemists write them: symbols in any case, labels, atomic numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from heliostat.errors import did_you_mean

# fmt: off
SYMBOLS = (
    "H", "He",
    "Li", "Be", "B", "C", "N", "O", "F", "Ne",
    "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn",
    "Ga", "Ge", "As", "Se", "Br", "Kr",
)
# fmt: on
"""Chemical symbols in the order of their charge: ``SYMBOLS[0]`` is hydrogen."""

ISOTOPES = {"D": "H", "T": "H"}
"""Isotopes with symbols of their own."""

_LABEL = re.compile(r"([A-Za-z]{1,2})(?:[^A-Za-z].*)?")
_CHARGED = re.compile(r"[A-Za-z]{1,2}\d*[+-]+\d*")
_NUMBER = re.compile(r"[0-9]{1,3}")
_NO_NUCLEI = {
    "Tv": "Tv is a vector of a lattice, but vmc computes molecules; remove the line",
    "X": "X is a dummy without charge; remove the line",
    "Xx": "Xx is a dummy without charge; remove the line",
    "Bq": "Bq is a ghost without charge; remove the line",
}


def element(label: str) -> str:
    """Return the symbol of the element that a label names.

    A label is a symbol in any case, perhaps followed by a digit or another mark and
    anything else (``Li1``, ``C_a``, ``Fe2+``), or an atomic number.

    Raises:
        ValueError: one line without the place, for anything else.

    Example:
        >>> [element(label) for label in ("Li1", "C_a", "CL", "8", "D")]
        ['Li', 'C', 'Cl', 'O', 'H']
    """
    if _NUMBER.fullmatch(label) and 1 <= int(label) <= len(SYMBOLS):
        return SYMBOLS[int(label) - 1]
    symbol = _symbol(label)
    symbol = ISOTOPES.get(symbol, symbol)
    if symbol in SYMBOLS:
        return symbol
    hint = _NO_NUCLEI.get(symbol)
    known = f"{did_you_mean(label, SYMBOLS)} (elements H to Kr are known)"
    raise ValueError(hint or f"unknown element '{shorten(label)}'{known}")


def remarks(labels: Iterable[str]) -> Iterator[str]:
    """Yield sentences on parts of labels that the molecule does not have.

    Example:
        >>> list(remarks(["Fe2+", "H"]))
        ['the charge in label Fe2+ is not used']
    """
    labels = list(dict.fromkeys(labels))  # each once, in their order
    if charged := [label for label in labels if _CHARGED.fullmatch(label)]:
        yield f"the charge in label {' '.join(charged[:3])} is not used"
    if {_symbol(label) for label in labels} & set(ISOTOPES):
        yield "isotopes have the energy of H, since nuclei are clamped"


def shorten(text: str, longest: int = 40) -> str:
    """Return a part of a user's text that fits in one line of a message.

    Example:
        >>> shorten("a" * 50)
        'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'
    """
    printable = "".join(c if c.isprintable() else "?" for c in text)
    fits = len(printable) <= longest
    return printable if fits else printable[: longest - 3] + "..."


def _symbol(label: str) -> str:
    """Return the letters that a label begins with as a symbol, '' if it has others."""
    match = _LABEL.fullmatch(label)
    return match[1].capitalize() if match else ""
