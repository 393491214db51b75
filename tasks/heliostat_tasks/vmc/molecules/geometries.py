"""Built-in atoms and molecules: positions of their nuclei, with sources.

Geometries are those of the published energies that runs are compared with, because bond
lengths decide energies at this accuracy.  General-purpose libraries differ by up to
0.2 bohr for the same molecule.
"""

from __future__ import annotations

from typing import NamedTuple

from heliostat_tasks.vmc.molecules.elements import SYMBOLS
from heliostat_tasks.vmc.molecules.spin import hund

BOHR = 0.529177210903
"""One bohr in angstrom, CODATA 2018."""


class Geometry(NamedTuple):
    """Geometry and ground-state spin of a built-in system."""

    nuclei: str  # "symbol x y z", separated by semicolons, bohr
    spin: int  # n_up - n_down of the ground state
    source: str  # source of the geometry


def _atom(symbol: str, charge: int) -> Geometry:
    source = "one nucleus; spin by Hund's rule"
    return Geometry(f"{symbol} 0 0 0", hund(charge, charge), source)


def _diatomic(a: str, b: str, length: str, source: str) -> Geometry:
    return Geometry(f"{a} 0 0 0; {b} 0 0 {length}", 0, source)


_PFAU = "Pfau et al., Phys. Rev. Research 2, 033429 (2020), in its public code"

BUILTIN: dict[str, Geometry] = {
    **{s: _atom(s, charge) for charge, s in enumerate(SYMBOLS, start=1)},
    "H2": _diatomic(
        "H", "H", "1.4", "the length of the published energy, R = 1.4 bohr"
    ),
    # the square, where the energy peaks and one determinant fails
    "H4": Geometry(
        "H 2.3223819174 2.3223819174 0; H 2.3223819174 -2.3223819174 0; "
        "H -2.3223819174 2.3223819174 0; H -2.3223819174 -2.3223819174 0",
        0,
        f"{_PFAU}: circle of radius 1.738 angstrom, angle 90 degrees",
    ),
    "LiH": _diatomic("Li", "H", "3.015", "Cencek-Rychlewski 2000"),
    "Li2": _diatomic("Li", "Li", "5.051", "Filippi-Umrigar 1996"),
    "N2": _diatomic("N", "N", "2.068", "Filippi-Umrigar 1996"),
    "CO": _diatomic("C", "O", "2.173", _PFAU),
    "H2O": Geometry(
        "O 0 0 -0.12416437; H 0 1.426334 0.98528929; H 0 -1.426334 0.98528929",
        0,
        "the equilibrium geometry of the HEAT thermochemistry",
    ),
    "NH3": Geometry(
        "N 0 0 0.22013; H 0 1.77583 -0.51364; "
        "H 1.53791 -0.88791 -0.51364; H -1.53791 -0.88791 -0.51364",
        0,
        _PFAU,
    ),
    "CH4": Geometry(
        "C 0 0 0; H 1.18886 1.18886 1.18886; H -1.18886 -1.18886 1.18886; "
        "H 1.18886 -1.18886 -1.18886; H -1.18886 1.18886 -1.18886",
        0,
        f"{_PFAU}: C-H of 1.18886 sqrt(3) = 2.05917 bohr, tetrahedral",
    ),
}
"""Every built-in system by name."""
