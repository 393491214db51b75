"""Momentum with a complex decay, and its relatives, as optax transformations.

    μ ← β μ + g,    w ← w − α Re μ,    β = |β| e^{i arg β}

arg β = 0 is Polyak's momentum and arg β = π negative momentum.  Between them the real
part of the trace oscillates: past gradients are added, then subtracted, and so on,
which lets simultaneous play of bilinear zero-sum games converge where no real β does.

|β| and arg β are real hyperparameters: schedules, ``optax.inject_hyperparams``, vmap
and derivatives work on each.

Reference: Lorraine, Acuna, Vicol, Duvenaud, arXiv:2102.08431.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Shaped
from optax.contrib import split_real_and_imaginary

Rate = optax.ScalarOrSchedule
"""Number, or schedule from the count of updates to a number."""


class MomentumState(NamedTuple):
    """Traces of gradients.

    Example:
        >>> complex_trace(0.5, 0.0).init(jnp.zeros(2)).steps.item()
        0
    """

    steps: Any  # () int32, updates so far, for schedules
    trace: Any  # complex, as the parameters


class AggregatedState(NamedTuple):
    """Traces of gradients, one for each decay.

    Example:
        >>> aggregated_momentum(0.1).init(jnp.zeros(2))[0].traces.shape
        (3, 2)
    """

    traces: Any  # each (decays, *shape)


def scale_by_complex_momentum(
    beta: Rate, angle: Rate = 0.0
) -> optax.GradientTransformation:
    """Replace gradients by the real part of a trace with a complex decay.

        μ ← β μ + g,    update = Re μ

    Args:
        beta: |β|; 1 or more is allowed and diverges.
        angle: arg β, radians.

    Returns:
        A transformation of gradients, to be chained.

    Example:
        >>> momentum = scale_by_complex_momentum(0.5, jnp.pi / 2)
        >>> state = momentum.init(jnp.zeros(()))
        >>> for _ in range(3):
        ...     update, state = momentum.update(jnp.ones(()), state)
        >>> update.round(4).item()    # 1 + 0.5 i + (0.5 i)²
        0.75

    Reference: arXiv:2102.08431, eq. 3-4.
    """

    return split_real_and_imaginary(complex_trace(beta, angle))


def complex_trace(beta: Rate, angle: Rate) -> optax.GradientTransformation:
    """Return :func:`scale_by_complex_momentum` for real parameters alone.

    Args:
        beta: |β|.
        angle: arg β, radians.

    Returns:
        A transformation of gradients, for use in others.

    Example:
        >>> trace = complex_trace(0.5, 0.0)
        >>> trace.init(jnp.zeros(2)).trace.dtype
        dtype('complex64')
    """

    def init(params: Any) -> MomentumState:
        trace = jax.tree.map(lambda p: jnp.zeros_like(p, _complex(p)), params)
        return MomentumState(jnp.zeros((), jnp.int32), trace)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        radius, phase = (_at(rate, state.steps) for rate in (beta, angle))
        decay = radius * jnp.exp(1j * phase)
        trace = jax.tree.map(
            lambda g, m: decay.astype(m.dtype) * m + g, updates, state.trace
        )
        real = jax.tree.map(lambda g, m: m.real.astype(g.dtype), updates, trace)
        return real, MomentumState(optax.safe_increment(state.steps), trace)

    return optax.GradientTransformation(init, update)


def complex_momentum(
    learning_rate: Rate, beta: Rate, angle: Rate = 0.0
) -> optax.GradientTransformation:
    """Descend by gradients with a complex momentum.

        μ ← β μ + g,    w ← w − α Re μ

    A complex parameter z is optimised as (Re z, Im z), each with a trace.  As in all of
    optax the caller passes ``jnp.conj(jax.grad(...))``, because JAX's gradient of a
    real loss is ∂L/∂x − i ∂L/∂y.

    Args:
        learning_rate: α.
        beta: |β|.
        angle: arg β, radians.

    Returns:
        An optimiser.

    Example:
        >>> optimiser = complex_momentum(0.1, 0.8, jnp.pi / 8)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = optimiser.update(w, optimiser.init(w))
        >>> optax.apply_updates(w, updates)
        Array([ 0.9, -1.8], dtype=float32)

    Reference: arXiv:2102.08431, algorithm 1.
    """
    return optax.chain(
        scale_by_complex_momentum(beta, angle),
        optax.scale_by_learning_rate(learning_rate),
    )


def linked_momentum(
    learning_rate: Rate, links: Float[Array, "2 2"]
) -> optax.GradientTransformation:
    """Descend by two real traces that are linked by a matrix B.

        (m, n) ← B (m, n) + (g, 0),    w ← w − α m

    B = [[Re β, −Im β], [Im β, Re β]] is complex momentum, a diagonal B two traces of
    which the second stays zero.

    Args:
        learning_rate: α.
        links: B.

    Returns:
        An optimiser.

    Example:
        >>> optimiser = linked_momentum(1.0, jnp.array([[0.0, -0.5], [0.5, 0.0]]))
        >>> state = optimiser.init(jnp.zeros(()))
        >>> for _ in range(3):
        ...     update, state = optimiser.update(jnp.ones(()), state)
        >>> update.item()
        -0.75

    Reference: arXiv:2102.08431, eq. 6.
    """

    def init(params: Any) -> Any:
        return jax.tree.map(lambda p: jnp.stack([jnp.zeros_like(p)] * 2), params)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def one(
            g: Shaped[Array, " ..."], pair: Shaped[Array, "2 ..."]
        ) -> Shaped[Array, "2 ..."]:
            linked = jnp.tensordot(links.astype(pair.dtype), pair, axes=1)
            return linked.at[0].add(g)

        pairs = jax.tree.map(one, updates, state)
        return jax.tree.map(lambda pair: pair[0], pairs), pairs

    return optax.chain(
        split_real_and_imaginary(optax.GradientTransformation(init, update)),
        optax.scale_by_learning_rate(learning_rate),
    )


def aggregated_momentum(
    learning_rate: Rate, betas: Sequence[float] = (0.0, 0.9, 0.99)
) -> optax.GradientTransformation:
    """Descend by the mean of several real traces, AggMo.

        m_k ← β_k m_k + g,    w ← w − (α/K) Σ_k m_k

    Args:
        learning_rate: α.
        betas: β_k, each in [0, 1).

    Returns:
        An optimiser.

    Example:
        >>> optimiser = aggregated_momentum(1.0, (0.0, 0.5))
        >>> state = optimiser.init(jnp.zeros(()))
        >>> for _ in range(2):
        ...     update, state = optimiser.update(jnp.ones(()), state)
        >>> update.item()    # −(1 + 1.5)/2
        -1.25

    Reference: Lucas et al., arXiv:1804.00325, eq. 5.
    """
    decays = jnp.asarray(betas)

    def init(params: Any) -> AggregatedState:
        k = len(decays)
        return AggregatedState(
            jax.tree.map(lambda p: jnp.stack([jnp.zeros_like(p)] * k), params)
        )

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        def one(
            g: Shaped[Array, " ..."], traces: Shaped[Array, "decays ..."]
        ) -> Shaped[Array, "decays ..."]:
            wide = decays.reshape(-1, *[1] * g.ndim).astype(traces.dtype)
            return wide * traces + g[None]

        traces = jax.tree.map(one, updates, state.traces)
        mean = jax.tree.map(lambda t: jnp.mean(t, axis=0), traces)
        return mean, AggregatedState(traces)

    return optax.chain(
        optax.GradientTransformation(init, update),
        optax.scale_by_learning_rate(learning_rate),
    )


def _at(rate: Rate, count: Any) -> Shaped[Array, ""]:
    return jnp.asarray(rate(count) if callable(rate) else rate)


def _complex(param: Any) -> Any:
    return jnp.result_type(param.dtype, jnp.complex64)
