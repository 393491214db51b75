"""Fit of a wavefunction to another one by their overlap.

    F = ⟨Ψ|D⟩² / (⟨Ψ|Ψ⟩ ⟨D|D⟩),    1 where Ψ and D are proportional

Walkers that sample |D|² never see where Ψ is large and D is not, and the ratio Ψ/D has
no bound at the nodes of D.  Walkers of the mixture p = D² + Ψ² see both, and

    d = D/√p,    y = Ψ/√p,    d² + y² = 1,    F = ⟨d y⟩² / (⟨d²⟩ ⟨y²⟩)

are bounded everywhere, so that no walker has to be clipped.  The parameters follow the
least-squares problem

    y (1 + φ·(O − ⟨O⟩)) ≈ κ d,    O = ∂ log|Ψ|/∂θ,    κ = ⟨y²⟩/⟨d y⟩

with ⟨O⟩ weighted by y²: a Gauss-Newton step towards the largest F that the tangent
space of Ψ allows.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.signed_log import SignedLog

FAINT = 0.5
"""Smallest ⟨d y⟩/⟨y²⟩ that κ is computed from: a faint overlap asks for large steps."""


class OverlapFit(NamedTuple):
    """Least-squares problem of one batch of walkers.

    Example:
        >>> OverlapFit(jnp.zeros((4, 2)), jnp.zeros(4), *jnp.ones((2, 1))).rows.shape
        (4, 2)
    """

    rows: Float[Array, "walkers parameters"]  # A
    residual: Float[Array, " walkers"]  # y − κ d, for θ − η φ
    overlap: Float[Array, ""]  # F, in [0, 1]
    log_ratio: Float[Array, ""]  # log of |D|/|Ψ|, root mean squares


def log_mixture(
    psi: Float[Array, "*b"], target: Float[Array, "*b"]
) -> Float[Array, "*b"]:
    """Return ½ log(Ψ² + D²), the log of the amplitude that walkers sample.

    Args:
        psi: log|Ψ|.
        target: log|D|.

    Returns:
        The log, of the shape of both.

    Example:
        >>> round(float(jnp.exp(log_mixture(jnp.log(3.0), jnp.log(4.0)))), 4)
        5.0
    """
    return 0.5 * jnp.logaddexp(2 * psi, 2 * target)


def overlap_fit(
    psi: SignedLog, target: SignedLog, scores: Float[Array, "walkers parameters"]
) -> OverlapFit:
    """Return the least-squares problem that fits Ψ to D, and their overlap.

    A walker where a value or a score is not finite is left out.

    Args:
        psi: Ψ at walkers that sample Ψ² + D².
        target: D there.
        scores: ∂ log|Ψ|/∂θ there.

    Returns:
        Rows and residual for :func:`spring.least_squares`, F, and the ratio of sizes.

    Example:
        >>> value = SignedLog(jnp.ones(3), jnp.array([0.0, 1.0, 2.0]))
        >>> fit = overlap_fit(value, value, jnp.ones((3, 2)))
        >>> float(fit.overlap), fit.residual.tolist()
        (1.0, [0.0, 0.0, 0.0])
    """
    log = log_mixture(psi.log, target.log)
    finite = jnp.isfinite(log) & jnp.all(jnp.isfinite(scores), axis=1)
    d, y = (
        jnp.where(finite, value.sign * jnp.exp(value.log - log), 0.0)
        for value in (target, psi)
    )
    scores = jnp.where(finite[:, None], scores, 0.0)
    dd, dy, yy = jnp.sum(d**2), jnp.sum(d * y), jnp.maximum(jnp.sum(y**2), 1e-30)
    sign = jnp.where(dy < 0, -1.0, 1.0)
    kappa = sign * yy / jnp.maximum(jnp.abs(dy), FAINT * yy)
    rows = y[:, None] * (scores - (y**2 @ scores)[None] / yy)
    rows, residual = rows / jnp.sqrt(yy), (y - kappa * d) / jnp.sqrt(yy)
    dd = jnp.maximum(dd, 1e-30)
    ratio = 0.5 * (jnp.log(dd) - jnp.log(yy))
    return OverlapFit(rows, residual, dy**2 / (yy * dd), ratio)
