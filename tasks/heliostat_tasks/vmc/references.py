"""What a run is compared with: Hartree-Fock, CCSD(T), and the exact energy if known.

Of quintuple to double zeta, the basis is the largest with at most 100 functions in a
closed shell, 60 in an open one, where CCSD costs four times more: LiH takes 2 s on one
core, N2 14 s and CH4 17 s.  A molecule beyond that in double zeta gets Hartree-Fock
alone, beyond 200 functions nothing.

Closed shells are restricted, as published limits are, unless an unrestricted solution
lies 10 mHa below: then bonds are so stretched that the closed shell misleads (H4).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from heliostat import Estimate
from heliostat_tasks.vmc.basis import Basis, choose
from heliostat_tasks.vmc.exact import exact
from heliostat_tasks.vmc.molecule import Molecule

CLOSED, OPEN = 100, 60
"""Basis functions that CCSD(T) is worth waiting for, by the kind of shell."""

HUGE = 200
"""Basis functions beyond which not even Hartree-Fock is worth its memory and time."""

BROKEN = 1e-2
"""An unrestricted solution this far below, in hartree, replaces the restricted one."""


@lru_cache(maxsize=64)
def _computed(molecule: Molecule) -> tuple[tuple[str, Estimate], ...]:
    found: dict[str, Estimate] = {}
    try:
        for name, energy in _energies(molecule):
            found[name] = energy
    except Exception as error:  # a reference is a service: a run never dies of it
        lost = "CCSD(T)" if found else "Hartree-Fock"
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"no {lost} reference for {molecule.name}: {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    known = exact(molecule)
    return (*found.items(), *([("exact", known)] if known else []))


def references(molecule: Molecule) -> dict[str, Estimate]:
    """Energies of the molecule in hartree, each with its source, computed once.

    PySCF runs on the cores that OMP_NUM_THREADS or the process's affinity allow.

    Returns:
        ``"hf"`` and ``"ccsd(t)"`` by PySCF with all electrons correlated, and
        ``"exact"`` for built-in ground states.  CCSD(T) is absent for one electron,
        where there is nothing to correlate, and beyond the affordable size.  What does
        not converge is absent, with a ``RuntimeWarning``; no value is ever NaN.

    Example:
        >>> references(Molecule.parse("He"))["hf"].source
        'RHF/cc-pV5Z, PySCF'
    """
    return dict(_computed(molecule))


def _energies(molecule: Molecule) -> Iterator[tuple[str, Estimate]]:
    basis = choose(molecule, OPEN if molecule.spin else CLOSED)
    if basis.size > HUGE:
        raise MemoryError(f"{basis.size} functions in {basis.name}, at most {HUGE}")
    hf = _hartree_fock(molecule, basis)
    broke = hf.istype("UHF") and molecule.spin == 0
    if broke and basis.size > OPEN:  # its CCSD costs what an open shell's does
        basis = choose(molecule, OPEN)
        hf = _hartree_fock(molecule, basis)
    if not hf.converged:
        raise ArithmeticError("Hartree-Fock did not converge")
    kind = "UHF" if hf.istype("UHF") else "RHF"
    yield "hf", _estimate(hf.e_tot, f"{kind}/{basis.name}")
    if molecule.electrons > 1 and basis.affordable:
        energy = _coupled_cluster(hf)
        yield "ccsd(t)", _estimate(energy, f"{kind}-CCSD(T)/{basis.name}")


def _hartree_fock(molecule: Molecule, basis: Basis) -> Any:
    from pyscf import gto, scf

    mol = gto.M(
        atom=list(zip(molecule.symbols, molecule.positions, strict=True)),
        unit="Bohr",
        basis=basis.shells,
        charge=molecule.charge,
        spin=molecule.spin,
        verbose=0,
    )
    if molecule.spin:
        return _followed(_converge(scf.UHF(mol)))
    closed = _converge(scf.RHF(mol))
    # looking for a broken solution costs more than a large molecule's own energy
    return _broken(closed) if basis.affordable and closed.converged else closed


def _broken(closed: Any) -> Any:
    """The unrestricted solution where it lies well below the restricted one."""
    from pyscf import scf

    _, mixed, _, stable = closed.stability(external=True, return_status=True)
    if stable:
        return closed
    opened, half = scf.UHF(closed.mol), closed.mo_occ / 2
    opened = _followed(_converge(opened, opened.make_rdm1(mixed, (half, half))))
    lower = opened.converged and opened.e_tot < closed.e_tot - BROKEN
    return opened if lower else closed


def _converge(hf: Any, density: Any = None) -> Any:
    """SCF by DIIS, then by Newton's method where that wanders."""
    hf.chkfile = None
    hf.conv_tol = 1e-9
    hf.kernel(density)
    if not hf.converged:
        newton = hf.newton()
        newton.kernel(hf.mo_coeff, hf.mo_occ)
        hf.converged, hf.e_tot = newton.converged, newton.e_tot
        hf.mo_coeff, hf.mo_occ = newton.mo_coeff, newton.mo_occ
        hf.mo_energy = newton.mo_energy
    return hf


def _followed(hf: Any) -> Any:
    """Out of saddle points: along an unstable direction to lower energy, twice."""
    for _ in range(2):
        orbitals, _, stable, _ = hf.stability(return_status=True)
        if stable or not hf.converged:
            break
        _converge(hf, hf.make_rdm1(orbitals, hf.mo_occ))
    return hf


def _coupled_cluster(hf: Any) -> float:
    """Total CCSD(T) energy of all electrons, hartree."""
    from pyscf import cc

    ccsd = cc.CCSD(hf)
    ccsd.kernel()
    if not ccsd.converged:
        raise ArithmeticError("CCSD did not converge")
    triples = ccsd.ccsd_t() if hf.mol.nelectron > 2 else 0.0
    return float(ccsd.e_tot + triples)


def _estimate(energy: float, method: str) -> Estimate:
    return Estimate(float(energy), units="hartree", source=f"{method}, PySCF")
