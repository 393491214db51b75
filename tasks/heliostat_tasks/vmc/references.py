"""What a run is compared with: Hartree-Fock, CCSD(T), and the exact energy if known.

The basis is cc-pCVXZ, whose tight functions correlate the core as the sampled electrons
do: cc-pVXZ on H and He, which have no core, and where no other exists, then def2.  Of
X = Q, T, D (and 5 for H and He) it is the largest with at most 100 functions in a closed
shell, 60 in an open one, where CCSD costs four times more: LiH takes 2 s on one core, N2
14 s and CH4 17 s.  A molecule beyond that in double zeta gets Hartree-Fock alone, beyond
200 functions nothing.

Closed shells are restricted, as published limits are, unless an unrestricted solution
lies 10 mHa below: then bonds are so stretched that the closed shell misleads (H4).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, NamedTuple

from heliostat import Estimate
from heliostat_tasks.vmc.exact import exact
from heliostat_tasks.vmc.molecule import Molecule

CLOSED, OPEN = 100, 60
"""Basis functions that CCSD(T) is worth waiting for, by the kind of shell."""

HUGE = 200
"""Basis functions beyond which not even Hartree-Fock is worth its memory and time."""

BROKEN = 1e-2
"""An unrestricted solution this far below, in hartree, replaces the restricted one."""

LIGHT = ("H", "He")
"""Elements without a core: for them cc-pVXZ is what cc-pCVXZ is for others."""

_FAMILIES = {
    "5": ("cc-pv5z",),
    "Q": ("cc-pcvqz", "cc-pvqz", "def2-qzvpp"),
    "T": ("cc-pcvtz", "cc-pvtz", "def2-tzvpp"),
    "D": ("cc-pcvdz", "cc-pvdz", "def2-svp"),
}


class Basis(NamedTuple):
    """Functions of every element, under one name, and whether CCSD(T) is affordable."""

    name: str  # such as cc-pCVTZ
    functions: dict[str, Any]  # by symbol
    count: int  # functions of all nuclei together
    affordable: bool


@lru_cache(maxsize=64)
def _computed(molecule: Molecule) -> tuple[tuple[str, Estimate], ...]:
    found: dict[str, Estimate] = {}
    try:
        with _threads():
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
    if basis.count > HUGE:
        raise MemoryError(f"{basis.count} functions in {basis.name}, at most {HUGE}")
    hf = _hartree_fock(_mol(molecule, basis))
    if hf.istype("UHF") and OPEN < basis.count <= CLOSED:  # a closed shell that broke
        basis = choose(molecule, OPEN)
        hf = _hartree_fock(_mol(molecule, basis))
    if not hf.converged:
        raise ArithmeticError("Hartree-Fock did not converge")
    kind = "UHF" if hf.istype("UHF") else "RHF"
    yield "hf", _estimate(hf.e_tot, f"{kind}/{basis.name}")
    if molecule.electrons > 1 and basis.affordable:
        energy = _coupled_cluster(hf)
        yield "ccsd(t)", _estimate(energy, f"{kind}-CCSD(T)/{basis.name}")


def choose(molecule: Molecule, limit: int) -> Basis:
    """The largest basis of at most ``limit`` functions, or the smallest there is.

    Example:
        >>> [choose(Molecule.parse(m), 100).name for m in ("H2", "LiH")]
        ['cc-pVQZ', 'cc-pCVTZ']

    Raises:
        LookupError: if an element has no basis here.
    """
    found = None
    for size in _FAMILIES:
        sets = {symbol: _element(symbol, size) for symbol in molecule.symbols}
        if all(functions for _, functions in sets.values()):
            functions = {symbol: basis for symbol, (_, basis) in sets.items()}
            count = sum(_count(functions[symbol]) for symbol in molecule.symbols)
            used = {symbol: name for symbol, (name, _) in sets.items()}
            found = Basis(_title(used), functions, count, count <= limit)
            if found.affordable:
                return found
    if found is None:
        raise LookupError(f"no basis for all of {', '.join(set(molecule.symbols))}")
    return found


@lru_cache(maxsize=256)
def _element(symbol: str, size: str) -> tuple[str, Any]:
    """The first family that has the element, and its functions, or None."""
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    if size == "5" and symbol not in LIGHT:
        return "", None  # without tight functions it is worse than cc-pCVQZ
    for name in _FAMILIES[size]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PySCF advertises another package
            with suppress(BasisNotFoundError, KeyError):
                return name, gto.basis.load(name, symbol)
    return "", None


def _count(functions: list[Any]) -> int:
    """2l + 1 for every contraction of every shell ``[l, [exponent, c1, c2, …], …]``."""
    return sum((2 * shell[0] + 1) * (len(shell[-1]) - 1) for shell in functions)


def _title(used: dict[str, str]) -> str:
    """One name; cc-pCVTZ implies cc-pVTZ on H and He, other mixtures are told."""
    heavy = {name for symbol, name in used.items() if symbol not in LIGHT}
    names = heavy or set(used.values())
    if len(names) == 1 and (set(used.values()) == names or min(names) < "d"):
        return _spelled(names.pop())
    return " + ".join(f"{_spelled(name)} on {s}" for s, name in sorted(used.items()))


def _spelled(name: str) -> str:
    stem = "cc-p" if name.startswith("cc-p") else "def2-"
    return stem + name.removeprefix(stem).upper()


def _mol(molecule: Molecule, basis: Basis) -> Any:
    from pyscf import gto

    return gto.M(
        atom=list(zip(molecule.symbols, molecule.positions, strict=True)),
        unit="Bohr",
        basis=basis.functions,
        charge=molecule.charge,
        spin=molecule.spin,
        verbose=0,
    )


def _hartree_fock(mol: Any) -> Any:
    from pyscf import scf

    if mol.spin:
        return _followed(_converge(scf.UHF(mol)))
    closed = _converge(scf.RHF(mol))
    if mol.nelectron < 2 or not closed.converged:
        return closed
    _, mixed, _, stable = closed.stability(external=True, return_status=True)
    if stable:
        return closed
    half = closed.mo_occ / 2
    opened = scf.UHF(mol)
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


@contextmanager
def _threads() -> Iterator[None]:
    """PySCF on the cores that this process was given, no more."""
    from pyscf import lib

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with lib.with_omp_threads(int(os.environ.get("OMP_NUM_THREADS", allowed))):
        yield
