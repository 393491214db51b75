"""Electrons of each spin at each nucleus, by Hartree-Fock.

Löwdin's orthogonal orbitals are made of core, valence and diffuse functions in turn, so
that diffuse functions of one nucleus do not count electrons of another (meta-Löwdin).

Reference: Q. Sun and G. K.-L. Chan, J. Chem. Theory Comput. 10, 3784 (2014).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from heliostat_tasks.vmc.chemistry.hartree_fock import hartree_fock
from heliostat_tasks.vmc.molecules import Molecule

DIGITS = 2
"""Decimals of populations, so that rounding in Hartree-Fock decides nothing."""


@lru_cache(maxsize=16)
def populations(molecule: Molecule) -> Float[np.ndarray, "2 nuclei"]:
    """Return how many electrons of each spin are at each nucleus.

    Where Hartree-Fock is not to be had, every nucleus gets about its charge, and the
    excess spin in proportion.

    Args:
        molecule: in bohr.

    Returns:
        Spin up in the first row, spin down in the second.

    Example:
        >>> populations(Molecule.parse("H2")).tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    try:
        field = hartree_fock(molecule).field
        counts = _meta_lowdin(field) if field.converged else _by_charge(molecule)
    except Exception:  # PySCF may be absent or fail; a run must start all the same
        counts = _by_charge(molecule)
    return _oriented(np.round(counts, DIGITS) + 0.0)


def _meta_lowdin(field: Any) -> np.ndarray:
    from pyscf import lo

    overlap = field.get_ovlp()
    projection = lo.orth_ao(field.mol, "meta_lowdin", s=overlap).T @ overlap
    density = np.asarray(field.make_rdm1())
    spins = density if density.ndim == 3 else np.stack([density, density]) / 2
    orbitals = np.einsum("pi,sij,pj->sp", projection, spins, projection)
    starts = field.mol.aoslice_by_atom()[:, 2]
    return np.add.reduceat(orbitals, starts, axis=1)


def _by_charge(molecule: Molecule) -> np.ndarray:
    charges = np.array(molecule.charges, dtype=float)
    spins = np.array([[molecule.n_up], [molecule.n_down]])
    return spins * charges / charges.sum()


def _oriented(counts: np.ndarray) -> np.ndarray:
    """Let the first nucleus with an excess have spin up, if both spins are alike."""
    up, down = np.round(counts.sum(axis=1))
    excess = counts[0] - counts[1]
    first = excess[np.abs(excess) > 0.1][:1]
    return counts[::-1] if up == down and (first < 0).any() else counts
