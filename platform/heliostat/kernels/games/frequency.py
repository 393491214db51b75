"""Frequency of a game, estimated from the path of play, and the momentum it asks for.

Between two rounds the players move by s and the joint gradient changes by y ≈ J s.
Averages over rounds estimate an eigenvalue λ of J that play moves along:

    Re λ ≈ ⟨s, y⟩/⟨s, s⟩,    |λ|² ≈ ⟨y, y⟩/⟨s, s⟩

The angle of the momentum is then the one with which play along that eigenvalue
converges fastest, at the rate and the size of momentum that are given.

No reference: this rule is heliostat's own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Complex, Float, Int, PyTree

from heliostat.kernels.games.spectrum import momentum_cubic

ANGLES = 33
"""Angles from 0 to π that are compared."""


class Path(NamedTuple):
    """Last place and gradient of play, and averages of products of their changes.

    Example:
        >>> begin_path(jnp.zeros(2)).along.item()
        0.0
    """

    rounds: Int[Array, ""]  # seen so far
    place: PyTree  # where players are
    gradient: PyTree  # the joint gradient there
    along: Float[Array, ""]  # ⟨s, y⟩
    change: Float[Array, ""]  # ⟨y, y⟩
    length: Float[Array, ""]  # ⟨s, s⟩


def begin_path(players: PyTree) -> Path:
    """Return a path before the first round.

    Args:
        players: trees of the shapes of the players.

    Returns:
        The path.

    Example:
        >>> begin_path(jnp.zeros(2)).rounds.item()
        0
    """
    zeros, none = jax.tree.map(jnp.zeros_like, players), jnp.zeros(())
    return Path(jnp.zeros((), jnp.int32), zeros, zeros, none, none, none)


def extend_path(
    path: Path, players: PyTree, gradient: PyTree, decay: float = 0.9
) -> Path:
    """Add a round to a path.

    Args:
        path: so far.
        players: where they are.
        gradient: the joint gradient there.
        decay: of the averages, per round.

    Returns:
        The longer path.

    Example:
        >>> path = begin_path(jnp.zeros(2))
        >>> path = extend_path(path, jnp.array([1.0, 0.0]), jnp.array([0.0, -2.0]))
        >>> path.rounds.item(), path.length.item()    # one place is no change yet
        (1, 0.0)
    """
    s = jax.tree.map(jnp.subtract, players, path.place)
    y = jax.tree.map(jnp.subtract, gradient, path.gradient)
    products = _dot(s, y), _dot(y, y), _dot(s, s)
    old = path.along, path.change, path.length
    known = path.rounds > 0  # two places make a change
    sums = [
        decay * a + jnp.where(known, b, 0.0) for a, b in zip(old, products, strict=True)
    ]
    return Path(path.rounds + 1, players, gradient, *sums)


def eigenvalue_of(path: Path) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return modulus and phase of the eigenvalue that play moves along.

        |λ| = |y|/|s|,    arg λ = arccos ⟨s, y⟩/(|s| |y|)

    A phase of 0 is descent, π/2 rotation, and more is a game that repels. Both are 0
    before there are two places.

    Args:
        path: of play.

    Returns:
        |λ|, and arg λ in radians.

    Example:
        >>> path = begin_path(jnp.zeros(2))
        >>> for x, y in ([1.0, 0.0], [1.0, 0.5], [0.5, 1.0]):
        ...     path = extend_path(path, jnp.array([x, y]), jnp.array([2 * y, -2 * x]))
        >>> [round(v.item(), 4) for v in eigenvalue_of(path)]    # 2i
        [2.0, 1.5708]
    """
    size = jnp.sqrt(path.change * path.length)
    cosine = path.along / jnp.where(size > 0, size, 1.0)
    phase = jnp.where(size > 0, jnp.arccos(jnp.clip(cosine, -1.0, 1.0)), 0.0)
    length = jnp.where(path.length > 0, path.length, 1.0)
    return jnp.sqrt(path.change / length), phase


def best_angle(
    modulus: Float[Array, ""],
    phase: Float[Array, ""],
    rate: Float[Array, ""] | float,
    beta: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """Return the angle arg β with which simultaneous play converges fastest.

        argmin ρ(α, |β|, arg β; λ)

    over 33 angles from 0 to π.

    Args:
        modulus: |λ|.
        phase: arg λ, radians.
        rate: α.
        beta: |β|.

    Returns:
        arg β, radians.

    Example:
        >>> one = jnp.array(1.0)
        >>> round(best_angle(one, jnp.pi / 2 * one, 0.57, 0.67).item(), 1)
        1.3
        >>> best_angle(one, 0 * one, 0.01, 0.9).item()    # slow descent: heavy ball
        0.0
    """
    angles = jnp.linspace(0.0, jnp.pi, ANGLES)
    eigenvalue = modulus * jnp.exp(1j * phase)
    cubics = momentum_cubic(eigenvalue, rate, beta, angles)
    radius = jnp.max(jnp.abs(_roots(cubics)), axis=-1)
    return angles[jnp.argmin(radius)]


def _roots(coefficients: Complex[Array, "b 4"]) -> Complex[Array, "b 3"]:
    """Return the roots of monic cubics by Weierstrass' iteration, on any device."""
    start = (0.4 + 0.9j) ** jnp.arange(3)
    others = ~jnp.eye(3, dtype=bool)

    def improve(_: Any, x: Complex[Array, "b 3"]) -> Complex[Array, "b 3"]:
        value = jax.vmap(jnp.polyval, (0, 0))(coefficients, x)
        apart = jnp.where(others, x[:, :, None] - x[:, None, :], 1.0)
        return x - value / jnp.prod(apart, axis=-1)

    roots = jnp.broadcast_to(start, (len(coefficients), 3)).astype(coefficients.dtype)
    return jax.lax.fori_loop(0, 40, improve, roots)


def _dot(a: PyTree, b: PyTree) -> Float[Array, ""]:
    products = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
    return jnp.asarray(sum(jax.tree.leaves(products)))
