"""Hartree-Fock orbitals as sums of Slater-type functions, by least squares.

    min_c Σ_g w_g |φ_HF(r_g) − e^{−Σ_I Z_I u_I} Σ_f c_f χ_f(r_g)|²

on an integration grid with weights w_g, of orbitals that PySCF has as Gaussians.  The
Jastrow factor has the cusps, which Gaussians miss, so that the fit is better at a
nucleus than what it is fitted to.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from heliostat.errors import RequestError
from heliostat_tasks.vmc.chemistry.hartree_fock import hartree_fock
from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.wavefunction.electrons import describe_electrons
from heliostat_tasks.vmc.wavefunction.orbitals import Orbitals

GRID = 2
"""Level of PySCF's integration grid; 3 changes energies by less than 1 mHa."""

RIDGE = 1e-7
"""Penalty on coefficients of functions of unit norm: bounds them by about 100."""

Coefficients = tuple[
    Float[np.ndarray, "functions up"], Float[np.ndarray, "functions down"]
]


@lru_cache(maxsize=16)
def project(molecule: Molecule, orbitals: Orbitals) -> Coefficients:
    """Fit the occupied Hartree-Fock orbitals of both spins.

    Args:
        molecule: in bohr.
        orbitals: whose functions are used.

    Returns:
        Coefficients of spin up and down.

    Raises:
        RequestError: if there is no Hartree-Fock solution to start from.
    """
    with threadpool_limits(1):  # bits must not depend on the number of threads
        field = _solution(molecule)
        points, weights = _grid(field.mol)
        values = _functions(molecule, orbitals, points) * np.sqrt(weights)[:, None]
        norms = np.linalg.norm(values, axis=0)
        scaled = values / norms
        matrix = scaled.T @ scaled + RIDGE * np.eye(len(norms))
        targets = field.mol.eval_gto("GTOval", points) * np.sqrt(weights)[:, None]
        up, down = (
            np.linalg.solve(matrix, scaled.T @ (targets @ occupied)) / norms[:, None]
            for occupied in _occupied(field, molecule)
        )
    return up, down


def _solution(molecule: Molecule) -> Any:
    try:
        field = hartree_fock(molecule).field
    except (LookupError, MemoryError) as error:
        raise RequestError(
            f"no Hartree-Fock orbitals of {molecule.name} to start from ({error}): "
            "with more than two electrons of a spin, vmc needs them; expected a "
            "smaller molecule, of elements with a basis"
        ) from error
    return field


def _grid(mol: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return points ``(points, 3)`` in bohr, and their weights."""
    from pyscf import dft

    grid: Any = dft.gen_grid.Grids(mol)
    grid.level = GRID
    grid.build()
    inside = grid.weights > 1e-12
    return grid.coords[inside], grid.weights[inside]


def _functions(
    molecule: Molecule, orbitals: Orbitals, points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, "points functions"]:
    """Compute e^{−Σ Z u} χ_f at points, in float64."""
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        charges = jnp.asarray(molecule.charges, float)
        one = describe_electrons(
            jnp.asarray(points), jnp.asarray(molecule.positions), charges, 0
        )
        cusp = jnp.exp(-one.u @ charges)[:, None]
        return np.asarray(orbitals.basis(orbitals.first_exponents(float), one) * cusp)


def _occupied(field: Any, molecule: Molecule) -> list[Float[np.ndarray, "gaussians _"]]:
    """Return the coefficients of occupied orbitals, of spin up and down."""
    both = field.mo_coeff if np.ndim(field.mo_coeff) == 3 else [field.mo_coeff] * 2
    counts = (molecule.n_up, molecule.n_down)
    return [c[:, :count] for c, count in zip(both, counts, strict=True)]
