"""Eigenvalues of games under momentum: where play converges, and how fast.

Near an equilibrium the joint gradient is G w.  Simultaneous play with momentum β and
rate α is linear in (Re μ, Im μ, w), and each eigenvalue λ of G contributes the roots of

    p(x) = (x − 1)(x² − 2 Re(β) x + |β|²) + α λ x (x − Re β)

Play converges if and only if all roots lie inside the unit circle; the largest modulus
is its rate.

Reference: Lorraine, Acuna, Vicol, Duvenaud, arXiv:2102.08431, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Complex, Float, Shaped


def momentum_cubic(
    eigenvalue: Shaped[Array, "*#b"],
    rate: Float[Array, "*#b"] | float,
    beta: Float[Array, "*#b"] | float,
    angle: Float[Array, "*#b"] | float,
) -> Complex[Array, "*b 4"]:
    """Return the coefficients of p, the highest power first.

        p(x) = (x − 1)(x² − 2 Re(β) x + |β|²) + α λ x (x − Re β)

    Args:
        eigenvalue: λ of the joint gradient's Jacobian.
        rate: α.
        beta: |β|.
        angle: arg β, radians.

    Returns:
        Coefficients of x³, x², x, 1.

    Example:
        >>> momentum_cubic(jnp.array(1.0), 0.5, 0.0, 0.0).real.tolist()    # x²(x − ½)
        [1.0, -0.5, 0.0, 0.0]

    Reference: derived from the augmented Jacobian of arXiv:2102.08431, eq. 8.
    """
    eigenvalue, rate, beta, angle = jnp.broadcast_arrays(
        *map(jnp.asarray, (eigenvalue, rate, beta, angle))
    )
    real = beta * jnp.cos(angle)
    step = rate * eigenvalue + 0j
    one = jnp.ones_like(step)
    second = step - 2 * real - 1
    first = beta**2 + 2 * real - step * real
    return jnp.stack([one, second, first, -(beta**2) + 0j], axis=-1)


def roots(coefficients: Shaped[Array, "*b n"]) -> Complex[Array, "*b n-1"]:
    """Return the roots of polynomials, as eigenvalues of companion matrices.

    Args:
        coefficients: the highest power first; the first is not zero.

    Returns:
        All roots, in no order.

    Example:
        >>> jnp.sort(roots(jnp.array([1.0, -3.0, 2.0])).real).round(5).tolist()
        [1.0, 2.0]
    """
    degree = coefficients.shape[-1] - 1
    monic = coefficients[..., 1:] / coefficients[..., :1]
    shift = jnp.eye(degree, k=-1, dtype=monic.dtype)
    shifts = jnp.broadcast_to(shift, (*monic.shape[:-1], degree, degree))
    return jnp.linalg.eigvals(shifts.at[..., 0, :].add(-monic))


def spectral_radius(
    eigenvalues: Shaped[Array, " n"],
    rate: Float[Array, ""] | float,
    beta: Float[Array, ""] | float,
    angle: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """Return the rate of simultaneous play, the largest modulus of all roots.

    Args:
        eigenvalues: of the joint gradient's Jacobian.
        rate: α.
        beta: |β|.
        angle: arg β, radians.

    Returns:
        The factor per step by which the distance from equilibrium shrinks.

    Example:
        >>> bilinear = jnp.array([1j, -1j])
        >>> round(float(spectral_radius(bilinear, 0.1, 0.0, 0.0)), 6)    # √(1 + α²)
        1.004988
    """
    cubic = momentum_cubic(eigenvalues, rate, beta, angle)
    return jnp.max(jnp.abs(roots(cubic)))


def is_schur_stable(coefficients: Shaped[Array, "*b n"]) -> Bool[Array, "*b"]:
    """Return True if all roots lie inside the unit circle, without computing them.

    p is stable if |a₀| < |a_n| and the polynomial (ā_n p − a₀ p*)/x is, where p* has
    the conjugated coefficients in reverse.

    Args:
        coefficients: the highest power first.

    Returns:
        One answer for each polynomial.

    Example:
        >>> is_schur_stable(jnp.array([[1.0, -0.5], [1.0, -2.0]])).tolist()
        [True, False]

    Reference: Schur, J. reine angew. Math. 147, 205 (1917); Cohn, Math. Z. 14, 110
    (1922).
    """
    stable = jnp.ones(coefficients.shape[:-1], bool)
    while coefficients.shape[-1] > 1:
        high, low = coefficients[..., :1], coefficients[..., -1:]
        stable &= (jnp.abs(low) < jnp.abs(high))[..., 0]
        reverse = jnp.conj(coefficients[..., ::-1])
        reduced = jnp.conj(high) * coefficients - low * reverse
        coefficients = reduced[..., :-1]
        size = jnp.max(jnp.abs(coefficients), axis=-1, keepdims=True)
        coefficients = coefficients / jnp.where(size > 0, size, 1)
    return stable


def augmented_jacobian(
    game: Float[Array, "n n"],
    rate: float | Float[Array, ""],
    beta: float | Float[Array, ""],
    angle: float | Float[Array, ""],
) -> Float[Array, "3*n 3*n"]:
    """Return the matrix of one simultaneous step on (Re μ, Im μ, w).

        μ ← β μ − G w,    w ← w + α Re μ

    Args:
        game: G, the Jacobian of the joint gradient.
        rate: α.
        beta: |β|.
        angle: arg β, radians.

    Returns:
        The matrix, whose eigenvalues are the roots of :func:`momentum_cubic` for the
        eigenvalues of G.

    Example:
        >>> augmented_jacobian(jnp.array([[2.0]]), 0.5, 0.0, 0.0)[2].tolist()
        [0.0, 0.0, 0.0]

    Reference: arXiv:2102.08431, eq. 8.
    """
    one, zero = jnp.eye(len(game)), jnp.zeros_like(game)
    real, imaginary = beta * jnp.cos(angle), beta * jnp.sin(angle)
    trace = jnp.block([[real * one, -imaginary * one, -game]])
    turned = jnp.block([[imaginary * one, real * one, zero]])
    moved = jnp.block([[zero, zero, one]]) + rate * trace
    return jnp.concatenate([trace, turned, moved])


def alternating_jacobian(
    game: Float[Array, "n n"],
    players: Sequence[int],
    rate: float | Float[Array, ""],
    beta: float | Float[Array, ""],
    angle: float | Float[Array, ""],
) -> Float[Array, "3*n 3*n"]:
    """Return the matrix of one round of alternating play on (Re μ, Im μ, w).

    Each player moves with its own rows of the simultaneous step, and sees the players
    before it where they have moved to.

    Args:
        game: G, the Jacobian of the joint gradient.
        players: player of each coordinate: 0, 1, …
        rate: α.
        beta: |β|.
        angle: arg β, radians.

    Returns:
        The matrix.

    Example:
        >>> bilinear = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        >>> step = alternating_jacobian(bilinear, (0, 1), 0.1, 0.0, 0.0)
        >>> abs(jnp.linalg.eigvals(step)).max().round(4).item()    # symplectic
        1.0
    """
    step, size = augmented_jacobian(game, rate, beta, angle), 3 * len(game)
    one, whole = jnp.eye(size, dtype=step.dtype), jnp.eye(size, dtype=step.dtype)
    owner = np.tile(players, 3)
    for player in range(max(players) + 1):
        whole = jnp.where((owner == player)[:, None], step, one) @ whole
    return whole


def simultaneous_margin(
    beta: Float[Array, "*#b"] | float, angle: Float[Array, "*#b"] | float
) -> Float[Array, "*b"]:
    """Return a number that is negative if simultaneous play of a bilinear game
    converges for small rates.

        q(r, c) = 1 − r c + r² (2c² − 3) + r³ c,    r = |β|, c = cos arg β

    It has the sign of Re[(1 + β)/(1 − β)²].  For real β it is (1 ∓ r)²(1 ± r) > 0:
    neither positive nor negative momentum converges.

    Args:
        beta: |β| in [0, 1).
        angle: arg β, radians.

    Returns:
        q.

    Example:
        >>> betas = jnp.array([0.57, 0.58])    # the threshold at π/2 is 1/√3
        >>> (simultaneous_margin(betas, jnp.pi / 2) < 0).tolist()
        [False, True]
    """
    r, c = jnp.asarray(beta), jnp.cos(angle)
    return 1 - r * c + r**2 * (2 * c**2 - 3) + r**3 * c


def alternating_margin(
    beta: Float[Array, "*#b"] | float, angle: Float[Array, "*#b"] | float
) -> Float[Array, "*b"]:
    """Return a number that is negative if alternating play of a bilinear game
    converges for small rates.

        (1 + r²) c − 2 r,    r = |β|, c = cos arg β

    It has the sign of Re[β/(1 − β)²]: every angle from π/2 on converges.

    Args:
        beta: |β| in (0, 1).
        angle: arg β, radians.

    Returns:
        The margin.

    Example:
        >>> betas = jnp.array([0.41, 0.42])    # the threshold at π/4 is √2 − 1
        >>> (alternating_margin(betas, jnp.pi / 4) < 0).tolist()
        [False, True]
    """
    r, c = jnp.asarray(beta), jnp.cos(angle)
    return (1 + r**2) * c - 2 * r
