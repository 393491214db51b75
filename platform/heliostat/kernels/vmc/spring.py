"""SPRING: stochastic reconfiguration in sample space with a projected momentum.

With scores O_bp = ∂ log|ψ(x_b)|/∂θ_p and local energies E_b of B walkers,

    Ō = (O − ⟨O⟩)/√B,   ε = (E − ⟨E⟩)/√B,   T = Ō Ōᵀ
    φ ← μ φ + Ōᵀ (T + λ + 11ᵀ/B)⁻¹ (ε − μ Ō φ),    θ ← θ − η φ

is the least-squares solution nearest to the last one.  Only the B × B matrix T is
solved, in float64: its small eigenvalues carry the answer.

Scores arrive sharded by walker.  Column means and T need all walkers, so the scores are
resharded by parameter with one all-to-all, which moves 1/W of what an all-gather moves;
sums over the devices, B × B and B, then give T and Ō φ.

Reference: Goldshlager, Abrahamsen, Lin, arXiv:2401.10190, algorithm 1 and eq. 28-31.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Float64

from heliostat.kernels.vmc.sharding import device_count, replicate, shard_columns


class ClippedBatch(NamedTuple):
    """A batch with its outliers drawn in and its non-finite walkers left out.

    Example:
        >>> clip_outliers(jnp.array([0.0, jnp.nan]), jnp.ones(2)).shrink.tolist()
        [1.0, 0.0]
    """

    energies: Float[Array, " walkers"]  # within the window
    shrink: Float[Array, " walkers"]  # factors of score rows in [0, 1]; 0 leaves out


def spring(
    scores: Float[Array, "walkers parameters"],
    energies: Float[Array, " walkers"],
    direction: Float[Array, " parameters"],
    damping: Float[Array, ""] | float = 1e-3,
    decay: Float[Array, ""] | float = 0.95,
) -> Float[Array, " parameters"]:
    """Return the direction φ: the next parameters are θ − η φ.

        φ ← μ φ + Ōᵀ (T + λ + 11ᵀ/B)⁻¹ (ε − μ Ō φ)

    Args:
        scores: ``(B, P)`` ∂ log|ψ|/∂θ, one row per walker.
        energies: ``(B,)`` local energies, hartree; NaN or inf leaves the walker out.
        direction: ``(P,)`` the last φ, zeros at first.
        damping: λ, in the units of T (dimensionless where parameters are).
        decay: μ in [0, 1); 0 is plain stochastic reconfiguration (MinSR).

    Returns:
        φ, ``(P,)``.  Not finite if the solve fails; the caller then keeps its θ.

    Example:
        >>> O = jax.random.normal(jax.random.key(0), (8, 3))
        >>> E = O @ jnp.array([1.0, 0.0, 0.0])
        >>> spring(O, E, jnp.zeros(3), 1e-6).round(2).tolist()
        [1.0, 0.0, 0.0]

    Reference: arXiv:2401.10190, eq. 31.
    """
    # the two vectors are small: every device clips all of them, in the same order
    small = replicate(jnp.stack([energies, jnp.sum(scores**2, axis=1)]))
    clip = clip_outliers(small[0], small[1])
    alive = clip.shrink > 0
    count = jnp.maximum(jnp.sum(alive), 1).astype(scores.dtype)
    columns = _by_parameter(scores)
    columns = jnp.where(alive[:, None], columns, 0.0) * clip.shrink[:, None]
    columns = _centred(columns, alive, count)
    residual = _centred(jnp.where(alive, clip.energies, 0.0)[:, None], alive, count)[
        :, 0
    ]
    return _next_direction(columns, residual, direction, alive, damping, decay)


def least_squares(
    rows: Float[Array, "walkers parameters"],
    residual: Float[Array, " walkers"],
    direction: Float[Array, " parameters"],
    damping: Float[Array, ""] | float = 1e-3,
    decay: Float[Array, ""] | float = 0.95,
) -> Float[Array, " parameters"]:
    """Return the direction φ that fits residuals by given rows, as SPRING does.

        φ ← μ φ + Aᵀ (A Aᵀ + λ)⁻¹ (r − μ A φ)

    Args:
        rows: A, ``(B, P)``, not centred; zeros leave a walker out.
        residual: r, ``(B,)``.
        direction: ``(P,)`` the last φ, zeros at first.
        damping: λ, in the units of A Aᵀ.
        decay: μ in [0, 1); 0 is a damped Gauss-Newton step.

    Returns:
        φ, ``(P,)``.  Not finite if the solve fails; the caller then keeps its θ.

    Example:
        >>> A = jax.random.normal(jax.random.key(0), (8, 3))
        >>> r = A @ jnp.array([1.0, 0.0, 0.0])
        >>> least_squares(A, r, jnp.zeros(3), 1e-6).round(2).tolist()
        [1.0, 0.0, 0.0]

    Reference: arXiv:2401.10190, eq. 28.
    """
    centred = jnp.zeros(len(rows), bool)  # these rows need not sum to zero
    columns = _by_parameter(rows)
    return _next_direction(columns, residual, direction, centred, damping, decay)


def clip_outliers(
    energies: Float[Array, " walkers"],
    squared_norms: Float[Array, " walkers"],
    window: float = 5.0,
    ratio: float = 10.0,
) -> ClippedBatch:
    """Clip energies to 5 mean deviations of the median, score rows to 10 medians.

    Near a node E ∝ 1/u and |O|² ∝ 1/u², so that the plain gradient has no variance.

    Args:
        energies: ``(B,)`` local energies, hartree.
        squared_norms: ``(B,)`` squared norms of the score rows.
        window: in mean absolute deviations from the median.
        ratio: ratio of a row's norm to the median norm.

    Returns:
        Clipped energies, and the factors of the score rows.

    Example:
        >>> squared_norms = jnp.array([1.0, 1.0, 1.0, 1e4])
        >>> clip_outliers(jnp.zeros(4), squared_norms, ratio=10.0).shrink.round(3)
        Array([1. , 1. , 1. , 0.1], dtype=float32)

    Reference: arXiv:2002.01434 (the divergence); clipping as in FermiNet.
    """
    alive = jnp.isfinite(energies) & jnp.isfinite(squared_norms)
    centre = jnp.nanmedian(jnp.where(alive, energies, jnp.nan))
    deviation = jnp.where(alive, jnp.abs(energies - centre), 0.0)
    spread = jnp.sum(deviation) / jnp.maximum(jnp.sum(alive), 1)
    clipped = jnp.clip(energies, centre - window * spread, centre + window * spread)
    typical = jnp.nanmedian(jnp.where(alive, squared_norms, jnp.nan))
    shrink = jnp.sqrt(
        jnp.minimum(1.0, ratio**2 * typical / jnp.maximum(squared_norms, 1e-30))
    )
    return ClippedBatch(clipped, jnp.where(alive, shrink, 0.0))


def constrain_norm(
    direction: Float[Array, " parameters"],
    rate: Float[Array, ""] | float,
    max_squared_norm: Float[Array, ""] | float,
) -> Float[Array, " parameters"]:
    """Return the change −η φ of the parameters, shortened to a length of at most √C.

        Δθ = −η φ min(1, √C / (η |φ|))

    Args:
        direction: φ, ``(P,)``.
        rate: η, the learning rate.
        max_squared_norm: C, the largest squared length of the change.

    Returns:
        Δθ, ``(P,)``.

    Example:
        >>> constrain_norm(jnp.array([3.0, 4.0]), 1.0, max_squared_norm=0.25).round(3)
        Array([-0.3, -0.4], dtype=float32)

    Reference: arXiv:2401.10190, eq. 34.
    """
    length = rate * jnp.linalg.norm(direction)
    longest = max_squared_norm**0.5
    return -rate * direction * jnp.minimum(1.0, longest / jnp.maximum(length, 1e-30))


def _by_parameter(
    rows: Float[Array, "walkers parameters"],
) -> Float[Array, "walkers columns"]:
    """Split rows over devices by parameter, padded with zeros."""
    pad = -rows.shape[1] % device_count()
    return shard_columns(jnp.pad(rows, ((0, 0), (0, pad))))


def _next_direction(
    columns: Float[Array, "walkers columns"],
    residual: Float[Array, " walkers"],
    direction: Float[Array, " parameters"],
    centred: Bool[Array, " walkers"],
    damping: Float[Array, ""] | float,
    decay: Float[Array, ""] | float,
) -> Float[Array, " parameters"]:
    pad = columns.shape[1] - len(direction)
    last = shard_columns(jnp.pad(direction, (0, pad)))
    solution = _solve(columns, last, residual, centred, damping, decay)
    following = decay * last + solution.astype(columns.dtype) @ columns
    return replicate(following[: len(direction)])


def _centred(
    rows: Float[Array, "walkers columns"],
    alive: Bool[Array, " walkers"],
    count: Float[Array, ""],
) -> Float[Array, "walkers columns"]:
    mean = jnp.sum(rows, axis=0, keepdims=True) / count
    return jnp.where(alive[:, None], (rows - mean) * jax.lax.rsqrt(count), 0.0)


def _solve(
    columns: Float[Array, "walkers columns"],
    last: Float[Array, " columns"],
    residual: Float[Array, " walkers"],
    centred: Bool[Array, " walkers"],
    damping: Float[Array, ""] | float,
    decay: Float[Array, ""] | float,
) -> Float64[Array, " walkers"]:
    """Solve (T + λ + 11ᵀ/B)⁻¹ (ε − μ Ō φ) in float64, at any precision.

    Centred rows sum to zero; 11ᵀ/B makes that direction regular.
    """
    projected = replicate(columns @ last)
    with jax.enable_x64(True):
        wide = columns.astype(jnp.float64)
        ones = centred.astype(jnp.float64)
        matrix = replicate(wide @ wide.T) + jnp.outer(ones, ones) / jnp.maximum(
            ones.sum(), 1
        )
        matrix = matrix + damping * jnp.eye(len(ones), dtype=jnp.float64)
        right = (residual - decay * projected).astype(jnp.float64)
        return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), right)
