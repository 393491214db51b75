"""Reference energies: Hartree-Fock, CCSD(T), and the exact energy where it is known.

The basis is the largest from quintuple to double zeta with at most 100 functions for a
closed shell, or 60 for an open one, where CCSD costs four times more.  LiH takes 2 s on
one core, N2 14 s and CH4 17 s.  A molecule that exceeds this in double zeta gets
Hartree-Fock only, and one with more than 200 functions gets no reference.

Closed shells are restricted, as published limits are, unless an unrestricted solution
lies 10 mHa lower: bonds are then so stretched that the closed shell misleads (H4).
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
"""Most basis functions for CCSD(T), by the kind of shell."""

HUGE = 200
"""Most basis functions for Hartree-Fock; more would take too much memory and time."""

BROKEN = 1e-2
"""Energy difference, hartree, at which an unrestricted solution is preferred."""


@lru_cache(maxsize=64)
def _computed(molecule: Molecule) -> tuple[tuple[str, Estimate], ...]:
    estimates: dict[str, Estimate] = {}
    try:
        for name, energy in _energies(molecule):
            estimates[name] = energy
    except Exception as error:  # a missing reference must not end a run
        method = "CCSD(T)" if estimates else "Hartree-Fock"
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"no {method} reference for {molecule.name}: {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    exact_energy = exact(molecule)
    return (*estimates.items(), *([("exact", exact_energy)] if exact_energy else []))


def references(molecule: Molecule) -> dict[str, Estimate]:
    """Compute reference energies of a molecule in hartree, each with its source.

    They are computed once per process.  PySCF runs on the cores that OMP_NUM_THREADS or
    the affinity of the process allow.

    Args:
        molecule: in bohr.

    Returns:
        ``"hf"`` and ``"ccsd(t)"`` by PySCF with all electrons correlated, and
        ``"exact"`` for built-in ground states.  CCSD(T) is absent for one electron,
        which has no correlation, and beyond the affordable size.  A method that does
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
    broken = hf.istype("UHF") and molecule.spin == 0
    if broken and basis.size > OPEN:  # CCSD then costs as much as for an open shell
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
        return _leave_saddle(_converge(scf.UHF(mol)))
    closed = _converge(scf.RHF(mol))
    # the search for a broken solution costs more than the energy of a large molecule
    return _break_symmetry(closed) if basis.affordable and closed.converged else closed


def _break_symmetry(closed: Any) -> Any:
    """Return the unrestricted solution if it lies well below the restricted one."""
    from pyscf import scf

    _, mixed, _, stable = closed.stability(external=True, return_status=True)
    if stable:
        return closed
    open_shell, half = scf.UHF(closed.mol), closed.mo_occ / 2
    density = open_shell.make_rdm1(mixed, (half, half))
    open_shell = _leave_saddle(_converge(open_shell, density))
    lower = open_shell.converged and open_shell.e_tot < closed.e_tot - BROKEN
    return open_shell if lower else closed


def _converge(hf: Any, density: Any = None) -> Any:
    """Converge SCF by DIIS, or by Newton's method if DIIS does not converge."""
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


def _leave_saddle(hf: Any) -> Any:
    """Follow an unstable direction to a lower energy, at most twice."""
    for _ in range(2):
        orbitals, _, stable, _ = hf.stability(return_status=True)
        if stable or not hf.converged:
            break
        _converge(hf, hf.make_rdm1(orbitals, hf.mo_occ))
    return hf


def _coupled_cluster(hf: Any) -> float:
    """Compute the CCSD(T) energy of all electrons, hartree."""
    from pyscf import cc

    ccsd = cc.CCSD(hf)
    ccsd.kernel()
    if not ccsd.converged:
        raise ArithmeticError("CCSD did not converge")
    triples = ccsd.ccsd_t() if hf.mol.nelectron > 2 else 0.0
    return float(ccsd.e_tot + triples)


def _estimate(energy: float, method: str) -> Estimate:
    return Estimate(float(energy), units="hartree", source=f"{method}, PySCF")
