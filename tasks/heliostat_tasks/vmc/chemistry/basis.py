"""Gaussian basis sets for all-electron reference energies, as large as a limit allows.

The family is cc-pCVXZ, whose tight functions also correlate the core.  H and He have no
core and take cc-pVXZ, as do elements without cc-pCVXZ.  Elements with neither take
def2, and the name of the basis says so.

Anions, and spins that valence shells cannot hold, need functions further out: two
even-tempered shells of s, p and d continue each of these series of exponents, and
"+2spd" in the name says so.

Reference: Dunning, J. Chem. Phys. 90, 1007 (1989); Woon and Dunning, J. Chem. Phys.
103, 4572 (1995); Weigend and Ahlrichs, Phys. Chem. Chem. Phys. 7, 3297 (2005).
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.molecules.spin import hund

LIGHT = ("H", "He")
"""Elements without a core, for which cc-pVXZ is complete."""

DIFFUSE = 2
"""Shells of s, p and d that continue a basis outwards where electrons need it."""

_FAMILIES = {
    "5": ("cc-pv5z",),
    "Q": ("cc-pcvqz", "cc-pvqz", "def2-qzvpp"),
    "T": ("cc-pcvtz", "cc-pvtz", "def2-tzvpp"),
    "D": ("cc-pcvdz", "cc-pvdz", "def2-svp"),
}


class Basis(NamedTuple):
    """Shells of every element under one name, and their number of functions."""

    name: str  # such as cc-pCVTZ
    shells: dict[str, Any]  # by symbol
    size: int  # functions of all nuclei together
    affordable: bool  # for CCSD(T)


def choose(molecule: Molecule, limit: int) -> Basis:
    """Choose the largest basis of at most ``limit`` functions, or else the smallest.

    Example:
        >>> [choose(Molecule.parse(m), 100).name for m in ("H2", "LiH")]
        ['cc-pVQZ', 'cc-pCVTZ']
        >>> choose(Molecule.parse("H", charge=-1), 100).name
        'cc-pV5Z+2spd'

    Raises:
        LookupError: if an element has no basis here.
    """
    basis, spread = None, needs_diffuse(molecule)
    for size in _FAMILIES:
        sets = {symbol: _element(symbol, size, spread) for symbol in molecule.symbols}
        if all(shells for _, shells in sets.values()):
            shells = {symbol: element for symbol, (_, element) in sets.items()}
            count = sum(_count(shells[symbol]) for symbol in molecule.symbols)
            used = {symbol: name for symbol, (name, _) in sets.items()}
            name = _title(used) + (f"+{DIFFUSE}spd" if spread else "")
            basis = Basis(name, shells, count, count <= limit)
            if basis.affordable:
                return basis
    if basis is None:
        raise LookupError(f"no basis for all of {', '.join(set(molecule.symbols))}")
    return basis


def needs_diffuse(molecule: Molecule) -> bool:
    """Return if electrons are far out: an anion, or more spin than open atoms have.

    Example:
        >>> [needs_diffuse(Molecule.parse("He", spin=s)) for s in (0, 2)]
        [False, True]
    """
    open_shells = sum(hund(charge, charge) for charge in molecule.charges)
    return molecule.charge < 0 or molecule.spin > open_shells + abs(molecule.charge)


def _widened(shells: list[Any]) -> list[Any]:
    """Add a shell of s, p and d each, whose exponent continues those that are there."""
    added: list[Any] = []
    for momentum in {shell[0] for shell in shells} & {0, 1, 2}:
        primitives = (p for shell in shells if shell[0] == momentum for p in shell[1:])
        last, *inner = sorted({primitive[0] for primitive in primitives})
        ratio = last / inner[0] if inner else 1 / 3
        added.append([momentum, [last * ratio, 1.0]])
    return shells + added


@lru_cache(maxsize=256)
def _element(symbol: str, size: str, diffuse: bool) -> tuple[str, Any]:
    """Load the shells of an element from the first family that has it, or None."""
    name, shells = _loaded(symbol, size)
    for _ in range(DIFFUSE if diffuse and shells else 0):
        shells = _widened(shells)
    return name, shells


def _loaded(symbol: str, size: str) -> tuple[str, Any]:
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    if size == "5" and symbol not in LIGHT:
        return "", None  # without tight functions it is worse than cc-pCVQZ
    for name in _FAMILIES[size]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PySCF recommends another package
            with suppress(BasisNotFoundError, KeyError):
                return name, gto.basis.load(name, symbol)
    return "", None


def _count(shells: list[Any]) -> int:
    """Count 2l + 1 functions per contraction of ``[l, [exponent, c1, c2, …], …]``."""
    return sum((2 * shell[0] + 1) * (len(shell[-1]) - 1) for shell in shells)


def _title(used: dict[str, str]) -> str:
    """Return one name: cc-pCVTZ implies cc-pVTZ on H and He; list other mixtures."""
    heavy = {name for symbol, name in used.items() if symbol not in LIGHT}
    names = heavy or set(used.values())
    if len(names) == 1 and (set(used.values()) == names or min(names) < "d"):
        return _spelled(names.pop())
    return " + ".join(f"{_spelled(name)} on {s}" for s, name in sorted(used.items()))


def _spelled(name: str) -> str:
    stem = "cc-p" if name.startswith("cc-p") else "def2-"
    return stem + name.removeprefix(stem).upper()
