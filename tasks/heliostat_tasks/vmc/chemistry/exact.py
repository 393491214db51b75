"""Published energies that count as exact: non-relativistic, clamped nuclei, hartree."""

from __future__ import annotations

from heliostat import Estimate
from heliostat_tasks.vmc.molecules import Molecule

SAME = 1e-5
"""Largest difference of distances in one geometry, bohr; near a minimum it changes the
energy by 1e-10 hartree."""

_CHAKRAVORTY = "Chakravorty et al., Phys. Rev. A 47, 3649 (1993)"
_FILIPPI = "Filippi and Umrigar, J. Chem. Phys. 105, 213 (1996)"

_NAKATSUJI = "Nakashima and Nakatsuji, J. Chem. Phys. 127, 224104 (2007)"

EXACT: dict[str, tuple[float, str]] = {
    "H": (-0.5, "analytic"),
    "He": (-2.903724377034, "Schwartz, via arXiv:1810.11288"),
    "Li": (-7.47806032, "Puchalski and Pachucki, Phys. Rev. A 73, 022503 (2006)"),
    "Be": (-14.66736, _CHAKRAVORTY),
    "B": (-24.65391, _CHAKRAVORTY),
    "C": (-37.8450, _CHAKRAVORTY),
    "N": (-54.5892, _CHAKRAVORTY),
    "O": (-75.0673, _CHAKRAVORTY),
    "F": (-99.7339, _CHAKRAVORTY),
    "Ne": (-128.9376, _CHAKRAVORTY),
    "H2": (-1.174476, "Pachucki, Phys. Rev. A 82, 032509 (2010), rounded"),
    "LiH": (-8.070548, "Cencek and Rychlewski (2000)"),
    "Li2": (-14.9954, _FILIPPI),
    "N2": (-109.5423, _FILIPPI),
    "CO": (-113.3255, "estimate: CCSD(T)/CBS at this geometry, Pfau et al. (2020)"),
    "H2O": (-76.4387, "derived: HEAT atomisation energy + exact atoms"),
    "NH3": (-56.5644, "estimate: CCSD(T)/CBS at this geometry, Pfau et al. (2020)"),
}
"""Ground-state energies of built-ins at their pinned geometries, with their sources.

Those of N to Ne are accurate to some 0.1 mHa, so an accurate run may fall below them.
CH4 and H4 have no energy that could be traced to its publication.
"""


ATOMS: dict[tuple[str, int, int], tuple[float, str]] = {
    ("H", -1, 0): (-0.527751017, _NAKATSUJI),
    ("He", 0, 2): (-2.175229378, "2 3S: Pekeris, Phys. Rev. 115, 1216 (1959)"),
    ("Li", 1, 0): (-7.2799134, _NAKATSUJI),
    ("Be", 2, 0): (-13.655566, _NAKATSUJI),
    ("C", 0, 4): (-37.691751, "5S, lowest of its spin: arXiv:2009.08723"),
}
"""Energies of ions, and of the lowest state of a higher spin, by charge and 2S."""


def exact(molecule: Molecule) -> Estimate | None:
    """Return the exact energy of a molecule or atom if it is known.

    Distances are compared, so nuclei may be reordered, rotated, shifted or mirrored.
    Charge and spin must be those of the tables.  One electron at one nucleus has −Z²/2.

    Example:
        >>> exact(Molecule.parse("H 9 0 3.015; Li 9 0 0", unit="bohr")).value
        -8.070548
        >>> [exact(Molecule.parse("Li", charge=q)).value for q in (1, 2)]
        [-7.2799134, -4.5]
        >>> exact(Molecule.parse("LiH", charge=1)) is None
        True
    """
    energy, source = _known(molecule)
    return None if energy is None else Estimate(energy, units="hartree", source=source)


def _known(molecule: Molecule) -> tuple[float | None, str]:
    if len(molecule.charges) == 1:
        if molecule.electrons == 1:
            return -(molecule.charges[0] ** 2) / 2, "analytic"
        atom = (molecule.symbols[0], molecule.charge, molecule.spin)
        if atom in ATOMS:
            return ATOMS[atom]
    same = (entry for n, entry in EXACT.items() if _same(molecule, Molecule.parse(n)))
    return next(same, (None, ""))


def _same(a: Molecule, b: Molecule) -> bool:
    electrons = (a.n_up, a.n_down) == (b.n_up, b.n_down)
    if not electrons or sorted(a.charges) != sorted(b.charges):
        return False
    pairs = zip(_fingerprint(a), _fingerprint(b), strict=True)
    return all(p[:2] == q[:2] and abs(p[2] - q[2]) < SAME for p, q in pairs)


def _fingerprint(molecule: Molecule) -> list[tuple[int, int, float]]:
    """Sort charges and distances of all pairs: equal for equal shapes of few atoms."""
    return sorted((min(a, b), max(a, b), r) for a, b, r in molecule.pairs())
