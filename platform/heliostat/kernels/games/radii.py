"""Spectral radii of simultaneous and alternating play, as functions that broadcast.

    momentum         (x − 1)(x² − 2 Re(β) x + |β|²) + αλ x (x − Re β) = 0
    extragradient    1 − αλ (1 − sαλ)
    optimistic       x² − (1 − (1 + s)αλ) x − sαλ = 0

Each is the largest |x| over the roots, and over the eigenvalues λ of the Jacobian of
the joint gradient.  NumPy computes them, for grids and searches on the host.

Reference: Lorraine, Acuna, Vicol, Duvenaud, arXiv:2102.08431, section 3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike

Radius = Callable[..., Float[np.ndarray, "*b"]]
"""Spectral radius of α, and of |β| and arg β or of s, which broadcast."""


def simultaneous_radius(eigenvalues: Shaped[np.ndarray, " n"]) -> Radius:
    """Return the spectral radius of simultaneous play as a function.

    Args:
        eigenvalues: of the Jacobian of the joint gradient.

    Returns:
        The radius, of arrays that broadcast.

    Example:
        >>> simultaneous_radius(np.array([1j]))(0.1, 0.0, 0.0).round(6).item()
        1.004988
    """
    values = np.asarray(eigenvalues, complex)
    values = np.unique(np.real(values) + 1j * np.abs(np.imag(values)))  # equal radii

    def radius(
        rate: ArrayLike, beta: ArrayLike, angle: ArrayLike
    ) -> Float[np.ndarray, " *b"]:
        rate, beta, angle = (np.asarray(v)[..., None] for v in (rate, beta, angle))
        real, step = beta * np.cos(angle), rate * values
        second, first = step - 2 * real - 1, beta**2 + 2 * real - step * real
        row = np.stack(np.broadcast_arrays(second, first, -(beta**2)), axis=-1)
        companion = np.zeros((*row.shape, 3), complex)
        companion[..., 0, :] = -row
        companion[..., 1, 0] = companion[..., 2, 1] = 1
        return np.asarray(np.abs(np.linalg.eigvals(companion)).max(axis=(-1, -2)))

    return radius


def alternating_radius(singular_values: Float[np.ndarray, " n"]) -> Radius:
    """Return the spectral radius of alternating play of a bilinear game wᵀ A u.

    Args:
        singular_values: of A; players move after each other.

    Returns:
        The radius, of arrays that broadcast.

    Example:
        >>> radius = alternating_radius(np.array([1.0]))
        >>> radius(0.5, 0.0, 0.0).round(6).item()    # a rotation, neither way
        1.0
    """
    values = np.unique(np.asarray(singular_values, float))

    def radius(
        rate: ArrayLike, beta: ArrayLike, angle: ArrayLike
    ) -> Float[np.ndarray, " *b"]:
        where = (np.asarray(v, float)[..., None] for v in (rate, beta, angle))
        rounds = _alternating(*np.broadcast_arrays(*where, values))
        return np.asarray(np.abs(np.linalg.eigvals(rounds)).max(axis=(-1, -2)))

    return radius


def extragradient_radius(eigenvalues: Shaped[np.ndarray, " n"]) -> Radius:
    """Return the spectral radius of simultaneous extragradient play as a function.

        |1 − αλ (1 − sαλ)|,    of α and s

    Args:
        eigenvalues: of the Jacobian of the joint gradient.

    Returns:
        The radius, of arrays that broadcast.

    Example:
        >>> radius = extragradient_radius(np.array([1j]))(0.5**0.5, 1.0)
        >>> radius.round(6).item()    # √3/2, of two gradients
        0.866025

    Reference: Korpelevich, Matecon 12, 747 (1976).
    """
    values = np.unique(np.asarray(eigenvalues, complex))

    def radius(rate: ArrayLike, strength: ArrayLike) -> Float[np.ndarray, " *b"]:
        rate, strength = (np.asarray(v)[..., None] for v in (rate, strength))
        step = rate * values
        return np.asarray(np.abs(1 - step * (1 - strength * step)).max(axis=-1))

    return radius


def optimistic_radius(eigenvalues: Shaped[np.ndarray, " n"]) -> Radius:
    """Return the spectral radius of simultaneous optimistic descent as a function.

        x² − (1 − (1 + s)αλ) x − sαλ = 0,    of α and s

    Args:
        eigenvalues: of the Jacobian of the joint gradient.

    Returns:
        The radius, of arrays that broadcast.

    Example:
        >>> optimistic_radius(np.array([1j]))(0.5, 1.0).round(6).item()    # 1/√2
        0.707107

    Reference: Daskalakis et al., arXiv:1711.00141, eq. 2.
    """
    values = np.unique(np.asarray(eigenvalues, complex))

    def radius(rate: ArrayLike, strength: ArrayLike) -> Float[np.ndarray, " *b"]:
        rate, strength = (np.asarray(v)[..., None] for v in (rate, strength))
        step = rate * values
        half = (1 - (1 + strength) * step) / 2
        root = np.sqrt(half**2 + strength * step)
        both = np.abs(np.stack([half + root, half - root]))
        return np.asarray(both.max(axis=(0, -1)))

    return radius


def _alternating(
    rate: Float[np.ndarray, " *b"],
    beta: Float[np.ndarray, " *b"],
    angle: Float[np.ndarray, " *b"],
    sigma: Float[np.ndarray, " *b"],
) -> Float[np.ndarray, "*b 6 6"]:
    """Return the matrices of a round of one pair of players, on (Re μ, Im μ, w)."""
    real, imaginary, zero = beta * np.cos(angle), beta * np.sin(angle), 0 * beta
    step = np.zeros((*beta.shape, 6, 6))
    for i, sign in ((0, 1), (1, -1)):
        game = sign * sigma
        step[..., i, i], step[..., i, 2 + i] = real, -imaginary
        step[..., i, 4 + 1 - i] = -game
        step[..., 2 + i, i], step[..., 2 + i, 2 + i] = imaginary, real
        step[..., 4 + i, :] = rate[..., None] * step[..., i, :]
        step[..., 4 + i, 4 + i] += 1 + zero
    owner = np.tile([0, 1], 3)
    first, second = (
        np.where((owner == player)[:, None], step, np.eye(6)) for player in (0, 1)
    )
    return second @ first
