"""The molecular Hamiltonian and its local energy, in Hartree atomic units.

    H = −½ Σ_i ∇_i² + Σ_{i<j} 1/r_ij − Σ_{iI} Z_I/r_iI + Σ_{I<J} Z_I Z_J/R_IJ
    E_L = Hψ/ψ = −½ (∇² log|ψ| + |∇ log|ψ||²) + V

Every function is written for one walker, ``x (n, 3)`` in bohr; callers vmap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.laplacian import derivatives


class LocalEnergy(NamedTuple):
    """Local energy of one walker and its two parts, in hartree."""

    total: Float[Array, ""]
    kinetic: Float[Array, ""]
    potential: Float[Array, ""]


def local_energy(
    logpsi: Callable[[Array], Array],
    potential: Callable[[Array], Array],
    method: str = "forward",
) -> Callable[[Array], LocalEnergy]:
    """Return the function x ↦ E_L(x) of a real wavefunction.

    Args:
        logpsi: ``(n, 3)`` to log|ψ|.
        potential: ``(n, 3)`` to V, hartree.
        method: method of the Laplacian, ``"forward"`` or ``"hessian"``.

    Returns:
        ``(n, 3)`` in bohr to the local energy and its parts in hartree.

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


def coulomb(
    x: Float[Array, "n 3"],
    nuclei: Float[Array, "nuclei 3"],
    charges: Float[Array, " nuclei"],
) -> Float[Array, ""]:
    """Compute the potential V of electrons among clamped nuclei, hartree.

    Args:
        x: electrons, bohr.
        nuclei: their positions, bohr.
        charges: charges of the nuclei, elementary charges.

    Returns:
        The potential energy, hartree.
    """
    attraction = jnp.sum((1 / distances(x, nuclei)) @ charges)
    among_nuclei = charges[:, None] * charges[None, :]
    return pair_sum(x) - attraction + pair_sum(nuclei, among_nuclei)


def pair_sum(
    points: Float[Array, "n 3"], weights: Float[Array, "n n"] | float = 1.0
) -> Float[Array, ""]:
    """Compute Σ_{i<j} w_ij/r_ij over points."""
    distance = distances(points, points) + jnp.eye(len(points), dtype=points.dtype)
    return jnp.sum(jnp.triu(weights / distance, 1))


def distances(a: Float[Array, "n 3"], b: Float[Array, "m 3"]) -> Float[Array, "n m"]:
    """Compute the distances of two sets of points, bohr."""
    return jnp.sqrt(jnp.sum((a[:, None, :] - b[None, :, :]) ** 2, axis=-1))
