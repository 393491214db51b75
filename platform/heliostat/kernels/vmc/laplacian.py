"""Value, gradient and Laplacian of a scalar function, by one of two routes.

``forward`` carries (f, ∇f, ∇²f) through the program once (the forward Laplacian);
``hessian`` takes the trace of the Hessian, slowly and obviously, and is the oracle of
the first.

Reference: Li et al., arXiv:2307.08214, eq. 6-8; folx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import folx
import jax
import jax.numpy as jnp
from jax import Array


class Derivatives(NamedTuple):
    """What the kinetic energy needs of a function at one point."""

    value: Array  # ()
    gradient: Array  # the shape of the point
    laplacian: Array  # ()


Scalar = Callable[[Array], Array]
Differential = Callable[[Array], Derivatives]


def derivatives(f: Scalar, method: str = "forward") -> Differential:
    """The function x ↦ (f, ∇f, ∇²f).

    Args:
        f: scalar function of one array of any shape; for walkers, vmap the result.
        method: ``"forward"`` or ``"hessian"``.

    Example:
        >>> d = derivatives(lambda x: jnp.sum(x**3))(jnp.array([[1.0, 2.0]]))
        >>> float(d.value), d.gradient.tolist(), float(d.laplacian)
        (9.0, [[3.0, 12.0]], 18.0)
    """
    if method not in METHODS:
        raise ValueError(f"laplacian '{method}': expected one of {', '.join(METHODS)}")
    return METHODS[method](f)


def forward_laplacian(f: Scalar) -> Differential:
    """The forward Laplacian: one pass, all derivatives carried along."""
    # dense: with every electron attending to every other, sparsity only costs
    carried = folx.forward_laplacian(f, sparsity_threshold=0)

    def at(x: Array) -> Derivatives:
        with jax.numpy_rank_promotion("allow"):  # folx's own rules broadcast freely
            result = carried(x)
        gradient = result.jacobian.dense_array.reshape(x.shape)
        return Derivatives(result.x, gradient, result.laplacian)

    return at


def hessian_trace(f: Scalar) -> Differential:
    """The trace of the Hessian, forward over forward differentiation."""

    def at(x: Array) -> Derivatives:
        def flat(y: Array) -> Array:
            return f(y.reshape(x.shape))

        y = x.reshape(-1)
        gradient = jax.jacfwd(flat)(y).reshape(x.shape)
        return Derivatives(f(x), gradient, jnp.trace(jax.jacfwd(jax.jacfwd(flat))(y)))

    return at


METHODS: Mapping[str, Callable[[Scalar], Differential]] = {
    "forward": forward_laplacian,
    "hessian": hessian_trace,
}
