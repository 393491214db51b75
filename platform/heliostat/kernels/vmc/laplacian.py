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
from jaxtyping import Float


class Derivatives(NamedTuple):
    """A function's value and derivatives at one point, as the kinetic energy needs.

    Example:
        >>> float(derivatives(jnp.sum)(jnp.ones((2, 3))).laplacian)
        0.0
    """

    value: Float[Array, ""]  # f
    gradient: Float[Array, "*point"]  # ∇f, the shape of the point
    laplacian: Float[Array, ""]  # ∇²f


Scalar = Callable[[Array], Array]
"""A point of any shape -> ()."""

Differential = Callable[[Array], Derivatives]


def derivatives(f: Scalar, method: str = "forward") -> Differential:
    """Return the function x ↦ (f, ∇f, ∇²f).

    Args:
        f: scalar function of one array of any shape; for walkers, vmap the result.
        method: ``"forward"`` or ``"hessian"``.

    Returns:
        The function of one point.

    Raises:
        ValueError: for another method.

    Example:
        >>> d = derivatives(lambda x: jnp.sum(x**3))(jnp.array([[1.0, 2.0]]))
        >>> float(d.value), d.gradient.tolist(), float(d.laplacian)
        (9.0, [[3.0, 12.0]], 18.0)

    Reference: arXiv:2307.08214, eq. 6-8.
    """
    if method not in METHODS:
        raise ValueError(f"laplacian '{method}': expected one of {', '.join(METHODS)}")
    return METHODS[method](f)


def forward_laplacian(f: Scalar) -> Differential:
    """Return (f, ∇f, ∇²f) by one pass that carries all derivatives along.

    Args:
        f: scalar function of one array of any shape.

    Returns:
        The function of one point.

    Example:
        >>> float(forward_laplacian(lambda x: jnp.sum(x**2))(jnp.ones(3)).laplacian)
        6.0

    Reference: arXiv:2307.08214, eq. 6-8.
    """
    # dense: with every electron attending to every other, sparsity only costs
    carried = folx.forward_laplacian(f, sparsity_threshold=0)

    def at(x: Float[Array, "*point"]) -> Derivatives:
        with jax.numpy_rank_promotion("allow"):  # folx's own rules broadcast freely
            result = carried(x)
        gradient = result.jacobian.dense_array.reshape(x.shape)
        return Derivatives(result.x, gradient, result.laplacian)

    return at


def hessian_trace(f: Scalar) -> Differential:
    """Return (f, ∇f, tr ∂²f/∂x²), by forward over forward differentiation.

    Args:
        f: scalar function of one array of any shape.

    Returns:
        The function of one point.

    Example:
        >>> float(hessian_trace(lambda x: jnp.sum(x**2))(jnp.ones(3)).laplacian)
        6.0
    """

    def at(x: Float[Array, "*point"]) -> Derivatives:
        def flat(y: Float[Array, " coordinates"]) -> Float[Array, ""]:
            return f(y.reshape(x.shape))

        y = x.reshape(-1)
        gradient = jax.jacfwd(flat)(y).reshape(x.shape)
        return Derivatives(f(x), gradient, jnp.trace(jax.jacfwd(jax.jacfwd(flat))(y)))

    return at


METHODS: Mapping[str, Callable[[Scalar], Differential]] = {
    "forward": forward_laplacian,
    "hessian": hessian_trace,
}
"""Routes to the derivatives by name."""
