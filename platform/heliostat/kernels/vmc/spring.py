"""SPRING: stochastic reconfiguration in sample space with a projected momentum.

With scores O_bp = ∂ log|ψ(x_b)|/∂θ_p and local energies E_b of B walkers,

    Ō = (O − ⟨O⟩)/√B,   ε = (E − ⟨E⟩)/√B,   T = Ō Ōᵀ
    φ ← μ φ + Ōᵀ (T + λ + 11ᵀ/B)⁻¹ (ε − μ Ō φ),    θ ← θ − η φ

is the least-squares solution nearest to the last one.  Only the B × B matrix T is
solved, in float64: its small eigenvalues carry the answer.

Scores come split by walker, but every column's mean and every entry of T wants all
walkers: they are resharded to a split by parameter (an all-to-all, 1/W of the traffic
of an all-gather), and sums over the devices, B × B and B, bring T and Ō φ together.

Reference: Goldshlager, Abrahamsen, Lin, arXiv:2401.10190, algorithm 1 and eq. 28-31.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from heliostat.kernels.vmc.sharding import device_count, replicate, shard_columns


class ClippedBatch(NamedTuple):
    """What of a batch is usable: outliers drawn in, non-finite walkers left out."""

    energies: Array  # (B,), within the window
    shrink: Array  # (B,) factors in [0, 1] on the score rows; 0 leaves a walker out


def spring(
    scores: Array,
    energies: Array,
    momentum: Array,
    damping: float = 1e-3,
    decay: float = 0.95,
) -> Array:
    """The direction φ: the next parameters are θ − η φ.

    Args:
        scores: ``(B, P)`` ∂ log|ψ|/∂θ, one row per walker.
        energies: ``(B,)`` local energies; NaN or inf leaves the walker out.
        momentum: ``(P,)`` the last φ, zeros at first.
        damping: λ, in the units of T (dimensionless where parameters are).
        decay: μ in [0, 1); 0 is plain stochastic reconfiguration (MinSR).

    Returns:
        φ, ``(P,)``.  Not finite if the solve fails; the caller then keeps its θ and φ.

    Example:
        >>> O = jax.random.normal(jax.random.key(0), (8, 3))
        >>> E = O @ jnp.array([1.0, 0.0, 0.0])
        >>> spring(O, E, jnp.zeros(3), 1e-6).round(2).tolist()
        [1.0, 0.0, 0.0]

    Reference: arXiv:2401.10190, eq. 31.
    """
    # the two vectors are small: every device clips all of them, in the same order
    judged = replicate(jnp.stack([energies, jnp.sum(scores**2, axis=1)]))
    clip = clip_outliers(judged[0], judged[1])
    alive = clip.shrink > 0
    count = jnp.maximum(jnp.sum(alive), 1).astype(scores.dtype)
    pad = -scores.shape[1] % device_count()
    columns = shard_columns(jnp.pad(scores, ((0, 0), (0, pad))))
    columns = jnp.where(alive[:, None], columns, 0.0) * clip.shrink[:, None]
    columns = _centred(columns, alive, count)
    last = shard_columns(jnp.pad(momentum, (0, pad)))
    residual = _centred(jnp.where(alive, clip.energies, 0.0)[:, None], alive, count)[
        :, 0
    ]
    solution = _solve(columns, last, residual, alive, damping, decay)
    direction = decay * last + solution.astype(columns.dtype) @ columns
    return replicate(direction[: momentum.shape[0]])


def clip_outliers(
    energies: Array, norms: Array, window: float = 5.0, ratio: float = 10.0
) -> ClippedBatch:
    """Energies within 5 mean deviations of the median, score rows within 10 medians.

    Near a node E ∝ 1/u and |O|² ∝ 1/u², so that the plain gradient has no variance.

    Args:
        energies: ``(B,)`` local energies.
        norms: ``(B,)`` squared norms of the score rows.
        window: in mean absolute deviations from the median.
        ratio: of a row's norm to the median norm.

    Reference: arXiv:2002.01434 (the divergence); clipping as in FermiNet.
    """
    alive = jnp.isfinite(energies) & jnp.isfinite(norms)
    centre = jnp.nanmedian(jnp.where(alive, energies, jnp.nan))
    deviation = jnp.where(alive, jnp.abs(energies - centre), 0.0)
    spread = jnp.sum(deviation) / jnp.maximum(jnp.sum(alive), 1)
    kept = jnp.clip(energies, centre - window * spread, centre + window * spread)
    typical = jnp.nanmedian(jnp.where(alive, norms, jnp.nan))
    shrink = jnp.sqrt(jnp.minimum(1.0, ratio**2 * typical / jnp.maximum(norms, 1e-30)))
    return ClippedBatch(kept, jnp.where(alive, shrink, 0.0))


def constrain_norm(direction: Array, rate: Array, norm: float) -> Array:
    """The change −η φ of the parameters, shortened to at most √norm.

    Reference: arXiv:2401.10190, eq. 34.
    """
    length = rate * jnp.linalg.norm(direction)
    return -rate * direction * jnp.minimum(1.0, norm**0.5 / jnp.maximum(length, 1e-30))


def _centred(rows: Array, alive: Array, count: Array) -> Array:
    mean = jnp.sum(rows, axis=0, keepdims=True) / count
    return jnp.where(alive[:, None], (rows - mean) * jax.lax.rsqrt(count), 0.0)


def _solve(
    columns: Array,
    last: Array,
    residual: Array,
    alive: Array,
    damping: float,
    decay: float,
) -> Array:
    """(T + λ + 11ᵀ/B)⁻¹ (ε − μ Ō φ) in float64, whatever the working precision."""
    projected = replicate(columns @ last)
    with jax.enable_x64(True):
        wide = columns.astype(jnp.float64)
        ones = alive.astype(jnp.float64)
        matrix = replicate(wide @ wide.T) + jnp.outer(ones, ones) / jnp.maximum(
            ones.sum(), 1
        )
        matrix = matrix + damping * jnp.eye(len(ones), dtype=jnp.float64)
        wanted = (residual - decay * projected).astype(jnp.float64)
        return jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(matrix), True), wanted)
