"""Molecules: nuclei clamped in space, and numbers of electrons of each spin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations

from heliostat.errors import did_you_mean
from heliostat_tasks.vmc.molecules import files, names
from heliostat_tasks.vmc.molecules.elements import SYMBOLS
from heliostat_tasks.vmc.molecules.geometries import BUILTIN
from heliostat_tasks.vmc.molecules.nuclei import (
    UNITS,
    Nucleus,
    Structure,
    check_distances,
    from_text,
)
from heliostat_tasks.vmc.molecules.spin import hund, split


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
    # sentences on what was assumed, read in a comment line, or not used
    remarks: tuple[str, ...] = field(default=(), compare=False)

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
        charge: int | None = None,
        spin: int | None = None,
        unit: str | None = None,
        frame: int | None = None,
    ) -> Molecule:
        """Parse a molecule as users write it.

        Args:
            text: a built-in name (``"LiH"``), a path (it ends in .xyz or holds a path
                separator), or inline text ``"Li 0 0 0; H 0 0 1.595"``.
            charge: net charge, elementary charges; ``None`` means that of the comment
                line of a file, and 0 otherwise.
            spin: 2S_z = n_up − n_down, not negative; ``None`` means that of the comment
                line if its charge is used, of the ground state for an atom, an ion or a
                neutral built-in, and the lowest possible, 0 or 1, otherwise.
            unit: unit of lengths, ``"angstrom"`` (also for ``None``) or ``"bohr"``.
                Built-ins are defined in bohr and refuse ``"angstrom"``.
            frame: index of the geometry in a file of several, from 0, or from −1 for
                the last.

        Returns:
            The molecule, in bohr.

        Raises:
            ValueError: one line with the input, what was expected, and what to do.

        Example:
            >>> Molecule.parse("H 0 0 0; H 0 0 1.4", unit="bohr").name
            'H2'
        """
        structure = _read(str(text).strip(), charge, spin, unit, frame)
        nuclei = structure.nuclei
        check_distances(nuclei)
        charges = tuple(SYMBOLS.index(n.symbol) + 1 for n in nuclei)
        charge, spin, remarks = _charge_and_spin(structure, sum(charges), charge, spin)
        up, down = split(sum(charges) - charge, charge, spin)
        return cls(
            symbols=tuple(n.symbol for n in nuclei),
            charges=charges,
            positions=tuple(n.position for n in nuclei),
            n_up=up,
            n_down=down,
            name=names.name(nuclei, charge),
            remarks=(*structure.remarks, *remarks),
        )

    def ordered(self) -> Molecule:
        """Return the molecule with nuclei by falling charge, then by position.

        It is the same for every order in which they were given.

        Example:
            >>> Molecule.parse("H 0 0 1.6; Li 0 0 0").ordered().symbols
            ('Li', 'H')
        """
        nuclei = zip(self.charges, self.positions, self.symbols, strict=True)
        charges, positions, symbols = zip(
            *sorted(nuclei, key=lambda n: (-n[0], n[1])), strict=True
        )
        return replace(self, charges=charges, positions=positions, symbols=symbols)

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


def _read(
    text: str,
    charge: int | None,
    spin: int | None,
    unit: str | None,
    frame: int | None,
) -> Structure:
    if unit is not None and unit not in UNITS:
        raise ValueError(
            f"unknown unit '{unit}'{did_you_mean(unit, UNITS)} (angstrom or bohr)"
        )
    if not text.strip("; \n"):
        raise ValueError("no molecule given; name one like LiH, a .xyz file or nuclei")
    if text not in BUILTIN and files.is_file(text):
        return files.read(text, unit or "angstrom", frame, charge is None, spin is None)
    if frame is not None:
        raise ValueError(f"frame {frame} is for .xyz files; leave it out")
    if text in BUILTIN:
        if unit not in (None, "bohr"):
            raise ValueError(
                f"unit '{unit}' does not apply to built-in '{text}', which is defined "
                "in bohr; leave unit out, or write the nuclei inline"
            )
        return from_text(BUILTIN[text].nuclei, "bohr")
    if len(text.replace(";", " ").split()) == 1:
        raise ValueError(names.advice(text))
    return from_text(text, unit or "angstrom")


def _charge_and_spin(
    structure: Structure, total: int, charge: int | None, spin: int | None
) -> tuple[int, int, list[str]]:
    """Return charge and spin, the user's or else others, and remarks on the others.

    Args:
        structure: nuclei and the comment line's statements.
        total: ΣZ, elementary charges.
        charge: that of the user, or None.
        spin: that of the user, or None.
    """
    used, assumed = [], []
    if charge is None and structure.charge is not None:
        used.append(f"charge {structure.charge}")
    stated = structure.charge or 0
    charge = stated if charge is None else charge
    if spin is None and structure.multiplicity and charge == stated:
        spin = _spin_of(structure.multiplicity, total - charge)
        used.append(f"multiplicity {structure.multiplicity}")
    if spin is None:
        spin, assumed = _default_spin(structure.nuclei, total, total - charge)
    origin = [f"of the comment line: {', '.join(used)}"] if used else []
    return charge, spin, [*origin, *assumed]


def _spin_of(multiplicity: int, electrons: int) -> int:
    if (electrons - multiplicity + 1) % 2:
        raise ValueError(
            f"multiplicity {multiplicity} in the comment line does not fit {electrons} "
            "electrons; correct it, or give spin = n_up - n_down"
        )
    return multiplicity - 1


def _default_spin(
    nuclei: list[Nucleus], total: int, electrons: int
) -> tuple[int, list[str]]:
    """Return n_up − n_down where nothing states it, and a remark if it is assumed."""
    if len(nuclei) == 1:
        return hund(total, electrons), []
    builtin = names.builtin(nuclei)
    if builtin and electrons == total:
        return BUILTIN[builtin].spin, []
    lowest = electrons % 2
    assumed = f"2S_z = {lowest} is assumed, the lowest; --spin sets it"
    return lowest, [assumed] if electrons > 1 else []
