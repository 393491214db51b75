"""Adam with a complex momentum.

    μ ← β₁ μ + g,    v ← β₂ v + (1 − β₂) g²,    w ← w − α Re μ / (√(v̂ + ε_root) + ε)

The trace is neither averaged nor corrected for its start: with |β₁| = 0 the update is
that of RMSProp with a corrected v, and with a real β₁ steps are, after the first few,
1/(1 − β₁) times those of Adam.

Reference: Lorraine, Acuna, Vicol, Duvenaud, arXiv:2102.08431, appendix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float
from optax.contrib import split_real_and_imaginary

from heliostat.kernels.games.momentum import (
    Rate,
    complex_trace,
)


class AdamState(NamedTuple):
    """Traces of gradients, and averages of their squares.

    Example:
        >>> scale_by_complex_adam(0.8).init(jnp.zeros(2)).inner_state.steps.item()
        0
    """

    steps: Any  # () int32, updates so far
    momentum: Any  # MomentumState
    squares: Any  # v, as the parameters


def scale_by_complex_adam(
    beta: Rate,
    angle: Rate = 0.0,
    b2: float | Float[Array, ""] = 0.999,
    eps: float | Float[Array, ""] = 1e-8,
    eps_root: float | Float[Array, ""] = 0.0,
) -> optax.GradientTransformation:
    """Replace gradients by the real part of a complex trace, over their usual size.

        μ ← β₁ μ + g,    v ← β₂ v + (1 − β₂) g²,    update = Re μ / (√(v̂ + ε_root) + ε)

    Args:
        beta: |β₁|.
        angle: arg β₁, radians.
        b2: decay of the mean square.
        eps: ε, which keeps updates of tiny gradients tiny.
        eps_root: number for derivatives through updates, where v is zero.

    Returns:
        A transformation of gradients, to be chained.

    Example:
        >>> adam = scale_by_complex_adam(0.5, jnp.pi / 2)
        >>> state = adam.init(jnp.zeros(()))
        >>> for _ in range(3):
        ...     update, state = adam.update(jnp.ones(()), state)
        >>> update.round(4).item()    # 1 + 0.5 i + (0.5 i)², over 1
        0.75

    Reference: arXiv:2102.08431, appendix; v̂ of Kingma, Ba, arXiv:1412.6980.
    """
    momentum = complex_trace(beta, angle)

    def init(params: Any) -> AdamState:
        squares = jax.tree.map(jnp.zeros_like, params)
        return AdamState(jnp.zeros((), jnp.int32), momentum.init(params), squares)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        traces, moving = momentum.update(updates, state.momentum)
        count = optax.safe_increment(state.steps)
        squares = optax.tree.update_moment_per_elem_norm(updates, state.squares, b2, 2)
        scaled = jax.tree.map(
            lambda m, v: m / (jnp.sqrt(v + eps_root) + eps),
            traces,
            optax.tree.bias_correction(squares, b2, count),
        )
        return scaled, AdamState(count, moving, squares)

    return split_real_and_imaginary(optax.GradientTransformation(init, update))


def complex_adam(
    learning_rate: Rate,
    beta: Rate,
    angle: Rate = 0.0,
    b2: float | Float[Array, ""] = 0.999,
    eps: float | Float[Array, ""] = 1e-8,
    eps_root: float | Float[Array, ""] = 0.0,
) -> optax.GradientTransformation:
    """Descend by Adam with a complex momentum.

        w ← w − α Re μ / (√(v̂ + ε_root) + ε)

    Args:
        learning_rate: α.
        beta: |β₁|.
        angle: arg β₁, radians.
        b2: decay of the mean square.
        eps: ε.
        eps_root: number for derivatives through updates, where v is zero.

    Returns:
        An optimiser.

    Example:
        >>> optimiser = complex_adam(0.1, 0.8, jnp.pi / 8)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = optimiser.update(w, optimiser.init(w))
        >>> optax.apply_updates(w, updates).round(4)
        Array([ 0.9, -1.9], dtype=float32)

    Reference: arXiv:2102.08431, appendix.
    """
    return optax.chain(
        scale_by_complex_adam(beta, angle, b2, eps, eps_root),
        optax.scale_by_learning_rate(learning_rate),
    )
