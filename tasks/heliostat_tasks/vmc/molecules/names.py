"""Names of molecules: built-ins, formulas, and advice on words that are neither."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from heliostat.errors import did_you_mean
from heliostat_tasks.vmc.molecules.elements import SYMBOLS, shorten
from heliostat_tasks.vmc.molecules.geometries import BUILTIN
from heliostat_tasks.vmc.molecules.nuclei import Nucleus, from_text


def builtin(nuclei: Sequence[Nucleus]) -> str | None:
    """Return the name of the built-in with these nuclei in any order, or None."""
    return _names().get(tuple(sorted(nuclei)))


def name(nuclei: Sequence[Nucleus], charge: int) -> str:
    """Return the name of a built-in or the formula: ``Li+``, ``O-2``."""
    counts = Counter(n.symbol for n in nuclei)
    formula = "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())
    neutral = builtin(nuclei) or formula
    if charge == 0:
        return neutral
    size = "" if abs(charge) == 1 else str(abs(charge))
    return f"{neutral}{'+' if charge > 0 else '-'}{size}"


def advice(word: str) -> str:
    """Return one line on a word that is no molecule.

    Example:
        >>> advice("H2+")
        "unknown molecule 'H2+'; write H2 with a charge: H2 --charge 1"
    """
    start = f"unknown molecule '{shorten(word)}'"
    if os.path.isfile(word):
        return f"{start}; to read the file of this name as .xyz, write ./{word}"
    if ion := _ion(word):
        formula, charge = ion
        known = formula in BUILTIN
        spelling = formula if known else "its nuclei, or the name of a .xyz file,"
        example = f": {formula} --charge {charge}" if known else f", --charge {charge}"
        return f"{start}; write {spelling} with a charge{example}"
    if (light := re.sub("[DT]", "H", word)) in BUILTIN and light != word:
        return f"{start}; write {light}: nuclei are clamped, so isotopes are alike"
    molecules = ", ".join(name for name in BUILTIN if name not in SYMBOLS)
    return (
        f"{start}{did_you_mean(word, BUILTIN)} (built in: atoms H to Kr, {molecules}; "
        "or a .xyz file, or 'Li 0 0 0; H 0 0 1.595')"
    )


def _ion(word: str) -> tuple[str, int] | None:
    """Split the charge from a formula: ``H2+`` is H2 and 1, ``Fe2+`` Fe and 2."""
    pattern = r"([A-Za-z0-9]*?[A-Za-z])([0-9]*)\^?(\++|-+)([0-9]{0,2})"
    if not (match := re.fullmatch(pattern, word)):
        return None
    formula, digits, signs, size = match.groups()
    sign = 1 if signs[0] == "+" else -1
    if digits and formula in BUILTIN and formula + digits not in BUILTIN:
        return formula, sign * int(digits[:2])
    return formula + digits, sign * int(size or len(signs))


@cache
def _names() -> dict[tuple[Nucleus, ...], str]:
    return {
        tuple(sorted(from_text(g.nuclei, "bohr").nuclei)): n for n, g in BUILTIN.items()
    }
