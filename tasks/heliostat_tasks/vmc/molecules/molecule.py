"""Molecules: nuclei clamped in space, and numbers of electrons of each spin."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from heliostat.errors import did_you_mean
from heliostat_tasks.vmc.molecules.geometries import BUILTIN, SYMBOLS
from heliostat_tasks.vmc.molecules.nuclei import (
    UNITS,
    Nucleus,
    from_file,
    from_text,
    is_file,
)

CLOSEST = 0.1
"""Least distance of two nuclei, bohr. No molecule is so tight (H2 has 1.4); a mistaken
unit or a repeated line is."""


@dataclass(frozen=True)
class Molecule:
    """Nuclei of charges Z at positions R, with n_up + n_down electrons.

    Example:
        >>> Molecule.parse("LiH").text()
        'Li 0.0 0.0 0.0; H 0.0 0.0 3.015'
        >>> Molecule.parse("N").spin, Molecule.parse("N", charge=1).electrons
        (3, 6)
    """

    symbols: tuple[str, ...]  # (M,)
    charges: tuple[int, ...]  # (M,) elementary charges
    positions: tuple[tuple[float, float, float], ...]  # (M, 3) bohr
    n_up: int
    n_down: int
    name: str  # the built-in's or the formula, with the sign of an ion

    @property
    def electrons(self) -> int:
        """Number of electrons of both spins."""
        return self.n_up + self.n_down

    @property
    def charge(self) -> int:
        """Net charge, ΣZ − n, in elementary charges."""
        return sum(self.charges) - self.electrons

    @property
    def spin(self) -> int:
        """n_up − n_down, twice S_z, as in PySCF."""
        return self.n_up - self.n_down

    @classmethod
    def parse(
        cls,
        text: str,
        charge: int = 0,
        spin: int | None = None,
        unit: str | None = None,
    ) -> Molecule:
        """Parse a molecule as users write it.

        Args:
            text: a built-in name (``"LiH"``), a path (it ends in .xyz or holds a path
                separator), or inline text ``"Li 0 0 0; H 0 0 1.595"``.
            charge: net charge, elementary charges.
            spin: n_up − n_down, not negative; ``None`` means that of the ground state
                for a neutral built-in, and the lowest possible, 0 or 1, otherwise.
            unit: unit of lengths, ``"angstrom"`` (also for ``None``) or ``"bohr"``.
                Built-ins are defined in bohr and refuse ``"angstrom"``.

        Returns:
            The molecule, in bohr.

        Raises:
            ValueError: one line with the input, what was expected, and what to do.

        Example:
            >>> Molecule.parse("H 0 0 0; H 0 0 1.4", unit="bohr").name
            'H2'
        """
        text = str(text).strip()
        nuclei = _read(text, unit)
        _check_distances(nuclei)
        electrons = sum(_charge(n) for n in nuclei) - charge
        if spin is None:
            ground = BUILTIN[text].spin if text in BUILTIN and charge == 0 else None
            spin = electrons % 2 if ground is None else ground
        up, down = _spins(electrons, charge, spin)
        return cls(
            symbols=tuple(n.symbol for n in nuclei),
            charges=tuple(_charge(n) for n in nuclei),
            positions=tuple(n.position for n in nuclei),
            n_up=up,
            n_down=down,
            name=_name(nuclei, charge),
        )

    def text(self) -> str:
        """Return inline text in bohr that parses to exactly the same numbers.

        Together with ``charge``, ``spin`` and ``unit="bohr"`` it defines the molecule.
        """
        nuclei = zip(self.symbols, self.positions, strict=True)
        return "; ".join(f"{symbol} {x!r} {y!r} {z!r}" for symbol, (x, y, z) in nuclei)

    def nuclear_repulsion(self) -> float:
        """Compute Σ_{I<J} Z_I Z_J / |R_I − R_J|, hartree.

        Example:
            >>> Molecule.parse("H2").nuclear_repulsion()
            0.7142857142857143
        """
        return sum(a * b / distance for a, b, distance in self.pairs())

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """Yield both charges and the distance in bohr for every pair of nuclei."""
        nuclei = zip(self.charges, self.positions, strict=True)
        for (a, position_a), (b, position_b) in combinations(nuclei, 2):
            yield a, b, math.dist(position_a, position_b)


def _read(text: str, unit: str | None) -> list[Nucleus]:
    if unit is not None and unit not in UNITS:
        raise ValueError(
            f"unknown unit '{unit}'{did_you_mean(unit, UNITS)} (angstrom or bohr)"
        )
    if not text.strip("; \n"):
        raise ValueError("no molecule given; name one like LiH, a .xyz file or nuclei")
    if text in BUILTIN:
        if unit not in (None, "bohr"):
            raise ValueError(
                f"unit '{unit}' does not apply to built-in '{text}', which is defined "
                "in bohr; leave unit out, or write the nuclei inline"
            )
        return from_text(BUILTIN[text].nuclei, "bohr")
    if is_file(text):
        return from_file(text, unit or "angstrom")
    if len(text.replace(";", " ").split()) == 1:
        raise ValueError(_unknown(text))
    return from_text(text, unit or "angstrom")


def _unknown(text: str) -> str:
    if text in SYMBOLS:
        return f"atom '{text}' is not built in (H to Ne are); write it '{text} 0 0 0'"
    return (
        f"unknown molecule '{text}'{did_you_mean(text, BUILTIN)} "
        f"(built in: {', '.join(BUILTIN)}; or a .xyz file, or 'Li 0 0 0; H 0 0 1.595')"
    )


def _check_distances(nuclei: list[Nucleus]) -> None:
    for (i, a), (j, b) in combinations(enumerate(nuclei, start=1), 2):
        distance = math.dist(a.position, b.position)
        if distance < CLOSEST:
            raise ValueError(
                f"nuclei {i} ({a.symbol}) and {j} ({b.symbol}) are too close: "
                f"{distance:.3g} bohr, expected at least {CLOSEST}; move one, or check "
                "the unit"
            )


def _spins(electrons: int, charge: int, spin: int) -> tuple[int, int]:
    """Return n_up and n_down."""
    if electrons < 1:
        raise ValueError(
            f"charge {charge} leaves {electrons} electrons; at least 1 is needed, "
            "lower the charge"
        )
    if spin < 0:
        raise ValueError(
            f"spin must be n_up - n_down >= 0, got {spin}; {-spin} has the same energy"
        )
    if spin > electrons:
        raise ValueError(
            f"spin {spin} needs at least {spin} electrons but there are {electrons}; "
            f"spin is n_up - n_down, at most {electrons}"
        )
    if (electrons - spin) % 2:
        kind = "even" if electrons % 2 == 0 else "odd"
        raise ValueError(
            f"spin {spin} does not fit {electrons} electrons: n_up - n_down must be "
            f"{kind}; set spin to {electrons % 2} or change the charge"
        )
    return (electrons + spin) // 2, (electrons - spin) // 2


def _name(nuclei: list[Nucleus], charge: int) -> str:
    """Name the built-in with these nuclei, or return the formula: ``Li+``, ``O2-``."""
    counts = Counter(n.symbol for n in nuclei)
    name = "".join(f"{s}{n if n > 1 else ''}" for s, n in counts.items())
    for builtin, geometry in BUILTIN.items():
        name = builtin if from_text(geometry.nuclei, "bohr") == nuclei else name
    if charge == 0:
        return name
    size = "" if abs(charge) == 1 else str(abs(charge))
    return f"{name}{'+' if charge > 0 else '-'}{size}"


def _charge(nucleus: Nucleus) -> int:
    return SYMBOLS.index(nucleus.symbol) + 1
