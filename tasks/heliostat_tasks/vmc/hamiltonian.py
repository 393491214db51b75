"""The molecular Hamiltonian and its local energy, in Hartree atomic units.

    H = −½ Σ_i ∇_i² + Σ_{i<j} 1/r_ij − Σ_{iI} Z_I/r_iI + Σ_{I<J} Z_I Z_J/R_IJ
    E_L = Hψ/ψ = −½ (∇² log|ψ| + |∇ log|ψ||²) + V

Everything is written for one walker, ``x (n, 3)`` in bohr; callers vmap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from heliostat.kernels.vmc.laplacian import derivatives


class LocalEnergy(NamedTuple):
    """The local energy of one walker and its two parts, in hartree."""

    total: Array  # ()
    kinetic: Array  # ()
    potential: Array  # ()


def local_energy(
    logpsi: Callable[[Array], Array],
    potential: Callable[[Array], Array],
    method: str = "forward",
) -> Callable[[Array], LocalEnergy]:
    """The function x ↦ E_L(x) of a real wavefunction.

    Args:
        logpsi: ``(n, 3)`` to log|ψ|.
        potential: ``(n, 3)`` to V, hartree.
        method: of the Laplacian, ``"forward"`` or ``"hessian"``.

    Example:
        >>> nucleus, charge = jnp.zeros((1, 3)), jnp.ones(1)
        >>> hydrogen = local_energy(
        ...     lambda x: -jnp.linalg.norm(x), lambda x: coulomb(x, nucleus, charge)
        ... )
        >>> round(float(hydrogen(jnp.array([[0.3, -0.7, 1.0]])).total), 5)
        -0.5
    """
    differential = derivatives(logpsi, method)

    def at(x: Array) -> LocalEnergy:
        _, gradient, laplacian = differential(x)
        kinetic = -0.5 * (laplacian + jnp.sum(gradient**2))
        v = potential(x)
        return LocalEnergy(kinetic + v, kinetic, v)

    return at


def coulomb(x: Array, nuclei: Array, charges: Array) -> Array:
    """The potential V of electrons among clamped nuclei, hartree.

    Args:
        x: ``(n, 3)`` electrons, bohr.
        nuclei: ``(M, 3)``, bohr.
        charges: ``(M,)``, elementary charges.
    """
    attraction = jnp.sum((1 / distances(x, nuclei)) @ charges)
    among_nuclei = charges[:, None] * charges[None, :]
    return pair_sum(x) - attraction + pair_sum(nuclei, among_nuclei)


def pair_sum(points: Array, weights: Array | float = 1.0) -> Array:
    """Σ_{i<j} w_ij/r_ij over the points ``(n, 3)``."""
    apart = distances(points, points) + jnp.eye(len(points), dtype=points.dtype)
    return jnp.sum(jnp.triu(weights / apart, 1))


def distances(a: Array, b: Array) -> Array:
    """Distances ``(len(a), len(b))`` of two sets of points, bohr."""
    return jnp.sqrt(jnp.sum((a[:, None, :] - b[None, :, :]) ** 2, axis=-1))
