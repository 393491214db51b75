"""Reference energies: Hartree-Fock, CCSD(T), and the exact energy where it is known.

The basis is the largest from quintuple to double zeta with at most 100 functions for a
closed shell, or 64 for an open one, where CCSD costs four times more.  LiH takes 3 s on
one core, N2 and CO 25 s.  A molecule that exceeds this in double zeta gets
Hartree-Fock only, and one with more than 200 functions gets no reference.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from heliostat import Estimate
from heliostat_tasks.vmc.chemistry.exact import exact
from heliostat_tasks.vmc.chemistry.hartree_fock import hartree_fock
from heliostat_tasks.vmc.molecules import Molecule

MANY_SINGLES = 0.02
"""T1 diagnostic, ‖t1‖/√electrons, above which one determinant is a poor start; Lee and
Taylor, Int. J. Quantum Chem. Symp. 23, 199 (1989)."""

CONTAMINATED = 0.3
"""Excess of ⟨S²⟩ above which an unrestricted determinant mixes spins too much."""


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
    field, basis, note = hartree_fock(molecule)
    if not field.converged:
        raise ArithmeticError("Hartree-Fock did not converge")
    kind = "UHF" if field.istype("UHF") else "RHF"
    hf = _estimate(field.e_tot, f"{kind}/{basis.name}")
    yield "hf", hf._replace(note=note)
    if molecule.electrons > 1 and basis.affordable:
        energy, warning = _coupled_cluster(field)
        method = f"{kind}-CCSD(T)/{basis.name}"
        yield "ccsd(t)", _estimate(energy, method)._replace(warning=warning)


def _coupled_cluster(hf: Any) -> tuple[float, str]:
    """Compute CCSD(T) of all electrons: energy in hartree, and a reason to doubt it."""
    from pyscf import cc

    ccsd = cc.CCSD(hf)
    ccsd.kernel()
    if not ccsd.converged:
        raise ArithmeticError("CCSD did not converge")
    if hf.mol.nelectron <= 2:  # CCSD is exact in the basis
        return float(ccsd.e_tot), ""
    return float(ccsd.e_tot + ccsd.ccsd_t()), _doubt(hf, ccsd)


def _doubt(hf: Any, ccsd: Any) -> str:
    """Return a reason if more than one determinant is needed, as in stretched bonds."""
    if hf.istype("UHF"):
        spin = hf.mol.spin / 2
        excess = float(hf.spin_square()[0]) - spin * (spin + 1)
        large, sign = excess > CONTAMINATED, f"⟨S²⟩ is {excess:.2f} too large"
    else:
        singles = float(ccsd.get_t1_diagnostic())
        large, sign = singles > MANY_SINGLES, f"the T1 diagnostic is {singles:.3f}"
    return f"needs more than one determinant: {sign}" if large else ""


def _estimate(energy: float, method: str) -> Estimate:
    return Estimate(float(energy), units="hartree", source=f"{method}, PySCF")
