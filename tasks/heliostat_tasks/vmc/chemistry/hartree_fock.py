"""The Hartree-Fock calculation of a molecule by PySCF, made once per process.

Closed shells are restricted, as published limits are, unless an unrestricted solution
lies 10 mHa lower: bonds are then so stretched that the closed shell misleads (H4).

Orbitals are the same bits in every process of a machine, since first guesses of runs
are taken from them: one thread sums in one order, and a small field orients the first
density, because the open shell of an atom such as boron has no direction of its own.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from heliostat_tasks.vmc.chemistry.basis import Basis, choose
from heliostat_tasks.vmc.molecules import Molecule

CLOSED, OPEN = 100, 64
"""Most basis functions for CCSD(T), by the kind of shell."""

HUGE = 200
"""Most basis functions for Hartree-Fock; more would take too much memory and time."""

BROKEN = 1e-2
"""Energy difference, hartree, at which an unrestricted solution is preferred."""


FIELD = (3e-3, 2e-3, 1e-3)
"""Curvatures along x, y and z of the potential in which the first density is oriented,
hartree/bohr²: orbitals along z are filled first."""


SAME = 1e-6
"""Energy difference, hartree, that is no lower solution: turning an atom has none."""

FOLLOWED = 10
"""Most unstable directions that are followed, one after the other."""


class Solution(NamedTuple):
    """A self-consistent field of PySCF, and the basis that it was solved in."""

    field: Any
    basis: Basis
    note: str = ""  # what is not known of its stability


@lru_cache(maxsize=16)
def hartree_fock(molecule: Molecule) -> Solution:
    """Solve the Hartree-Fock equations in the largest basis that is affordable.

    Args:
        molecule: in bohr.

    Returns:
        The field, restricted or unrestricted, and its basis; look at ``converged``.

    Raises:
        LookupError: if an element has no basis.
        MemoryError: if the molecule needs too many functions.
    """
    import_module("pyscf.scf")  # threads of a loaded library only can be limited
    with threadpool_limits(1):
        return _largest_affordable(molecule)


def _largest_affordable(molecule: Molecule) -> Solution:
    basis = choose(molecule, OPEN if molecule.spin else CLOSED)
    if basis.size > HUGE:
        raise MemoryError(f"{basis.size} functions in {basis.name}, at most {HUGE}")
    field, note = _solve(molecule, basis)
    broken = field.istype("UHF") and molecule.spin == 0
    if broken and basis.size > OPEN:  # CCSD then costs as much as for an open shell
        basis = choose(molecule, OPEN)
        field, note = _solve(molecule, basis)
    return Solution(field, basis, note)


def _solve(molecule: Molecule, basis: Basis) -> tuple[Any, str]:
    """Return a field, stable if that is affordable, and a note if it may not be."""
    from pyscf import gto, scf

    mol = gto.M(
        atom=list(zip(molecule.symbols, molecule.positions, strict=True)),
        unit="Bohr",
        basis=basis.shells,
        charge=molecule.charge,
        spin=molecule.spin,
        verbose=0,
    )
    mol.incore_anyway = True  # else the memory in use would choose the order of sums
    field = _converge(scf.UHF(mol) if molecule.spin else scf.RHF(mol))
    # the search for a lower solution costs more than the energy of a large molecule
    if not basis.affordable:
        return field, "its stability is not known"
    field, stable = _stabilised(field)
    if molecule.spin == 0 and field.converged:
        field, stable = _broken_symmetry(field, stable)
    return field, "" if stable else "not stable: a lower solution may exist"


def _broken_symmetry(closed: Any, stable: bool) -> tuple[Any, bool]:
    """Return the unrestricted solution if it lies well below the restricted one."""
    from pyscf import scf

    _, mixed, _, singlet = closed.stability(
        internal=False, external=True, return_status=True
    )
    if singlet:
        return closed, stable
    open_shell, half = scf.UHF(closed.mol), closed.mo_occ / 2
    density = open_shell.make_rdm1(mixed, (half, half))
    open_shell, settled = _stabilised(_converge(open_shell, density))
    lower = open_shell.converged and open_shell.e_tot < closed.e_tot - BROKEN
    return (open_shell, settled) if lower else (closed, stable)


def _stabilised(field: Any) -> tuple[Any, bool]:
    """Follow unstable directions to lower energies until none is left."""
    for _ in range(FOLLOWED):
        if not field.converged:
            return field, False
        orbitals, _, stable, _ = field.stability(return_status=True)
        if stable:
            return field, True
        lower = _converge(field.copy(), field.make_rdm1(orbitals, field.mo_occ))
        if not lower.e_tot < field.e_tot - SAME:
            return field, lower.converged
        field = lower
    return field, False


def _converge(hf: Any, density: Any = None) -> Any:
    """Converge SCF by DIIS, or by Newton's method if DIIS does not converge."""
    hf.chkfile = hf._chkfile = None  # else its file lives as long as the field
    hf.conv_tol = 1e-11
    hf.kernel(_oriented_density(hf) if density is None else density)
    if not hf.converged:
        newton = hf.newton()
        newton.kernel(hf.mo_coeff, hf.mo_occ)
        hf.converged, hf.e_tot = newton.converged, newton.e_tot
        hf.mo_coeff, hf.mo_occ = newton.mo_coeff, newton.mo_occ
        hf.mo_energy = newton.mo_energy
    return hf


def _oriented_density(hf: Any) -> Any:
    """Return the density of PySCF's guess after one step in the orienting field."""
    charges, positions = hf.mol.atom_charges(), hf.mol.atom_coords()
    with hf.mol.with_common_origin(charges @ positions / charges.sum()):
        squares = hf.mol.intor("int1e_rr")[[0, 4, 8]]  # ⟨a|x²|b⟩, y², z²
    fock = hf.get_fock(dm=hf.get_init_guess()) + np.tensordot(FIELD, squares, 1)
    energies, orbitals = hf.eig(fock, hf.get_ovlp())
    return hf.make_rdm1(orbitals, hf.get_occ(energies, orbitals))
