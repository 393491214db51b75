"""Directions in which the players of a differentiable game move.

Player i has a loss ℓ_i(w_1, …, w_n) and its own w_i, a tree of arrays.  The joint
gradient and its Jacobian are

    v = (∂ℓ_1/∂w_1, …, ∂ℓ_n/∂w_n),    J = ∂v/∂w

A direction takes the place of v in the step of an optimiser.  J is never formed: all
products are derivatives along a vector.

References: Korpelevich 1976 (extragradient); Mescheder et al., arXiv:1705.10461
(consensus); Balduzzi et al., arXiv:1802.05642 (symplectic adjustment); Foerster et al.,
arXiv:1709.04326 (LOLA); Schäfer, Anandkumar, arXiv:1905.12103 (competitive descent).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

Players = tuple[Any, ...]
"""Parameters of all players, a tree of arrays each."""

Losses = Sequence[Callable[[Players], Float[Array, ""]]]
"""Loss of each player, of the parameters of all."""

Direction = Callable[[Losses, Players], Players]
"""Losses and parameters to what the optimisers take for gradients."""


def joint_gradient(losses: Losses, players: Players) -> Players:
    """Compute the derivative of every loss by its own player.

    Args:
        losses: of each player.
        players: their parameters.

    Returns:
        v, as ``players``.

    Raises:
        ValueError: if there are not as many losses as players.

    Example:
        >>> losses = [lambda w: w[0] * w[1], lambda w: -w[0] * w[1]]
        >>> [float(g) for g in joint_gradient(losses, (2.0, 3.0))]
        [3.0, -2.0]
    """
    if len(losses) != len(players):
        raise ValueError(
            f"a game of {len(players)} players needs as many losses, got {len(losses)}"
        )
    return tuple(_gradient(loss, players, i) for i, loss in enumerate(losses))


def extragradient(rate: float | Float[Array, ""]) -> Direction:
    """Return v at the point that a step of plain descent would reach.

        v(w − η v(w))

    Args:
        rate: η, usually that of the step itself.

    Returns:
        The direction.

    Example:
        >>> losses = [lambda w: w[0] * w[1], lambda w: -w[0] * w[1]]
        >>> [round(float(g), 3) for g in extragradient(0.5)(losses, (1.0, 0.0))]
        [0.5, -1.0]
    """

    def direction(losses: Losses, players: Players) -> Players:
        ahead = _moved(players, joint_gradient(losses, players), -rate)
        return joint_gradient(losses, ahead)

    return direction


def consensus(strength: float | Float[Array, ""]) -> Direction:
    """Return the joint gradient with a pull towards where it is short.

        v + γ Jᵀ v,    Jᵀ v = ∇ ½|v|²

    Args:
        strength: γ.

    Returns:
        The direction.

    Example:
        >>> losses = [lambda w: w[0] * w[1], lambda w: -w[0] * w[1]]
        >>> [float(g) for g in consensus(1.0)(losses, (1.0, 0.0))]
        [1.0, -1.0]

    Reference: arXiv:1705.10461, eq. 10.
    """

    def direction(losses: Losses, players: Players) -> Players:
        v, pull = _with_transposed(losses, players)
        return _moved(v, pull, strength)

    return direction


def symplectic_adjustment(strength: float | Float[Array, ""] = 1.0) -> Direction:
    """Return the joint gradient, turned by the antisymmetric part A of J.

        v + λ Aᵀ v,    A = (J − Jᵀ)/2

    with the sign of λ such that it attracts to stable points and repels from others:
    that of ⟨v, Jᵀ v⟩ ⟨Aᵀ v, Jᵀ v⟩ + 1/10.

    Args:
        strength: |λ|.

    Returns:
        The direction.

    Example:
        >>> losses = [lambda w: w[0] * w[1], lambda w: -w[0] * w[1]]
        >>> [float(g) for g in symplectic_adjustment()(losses, (1.0, 0.0))]
        [1.0, -1.0]

    Reference: arXiv:1802.05642, algorithm 1.
    """

    def direction(losses: Losses, players: Players) -> Players:
        v, transposed = _with_transposed(losses, players)
        along = jax.jvp(lambda w: joint_gradient(losses, w), (players,), (v,))[1]
        turned = jax.tree.map(lambda a, b: (a - b) / 2, transposed, along)
        sign = _dot(v, transposed) * _dot(turned, transposed) + 0.1
        return _moved(v, turned, strength * jnp.where(sign < 0, -1.0, 1.0))

    return direction


def lola(rate: float | Float[Array, ""]) -> Direction:
    """Return gradients of players that expect a step of the others, and shape it.

        v_i − α ∂/∂w_i Σ_{j≠i} ⟨∂ℓ_i/∂w_j, ∂ℓ_j/∂w_j⟩

    Args:
        rate: α, the rate that a player expects of the others.

    Returns:
        The direction.

    Example:
        >>> losses = [lambda w: w[0] * w[1], lambda w: -w[0] * w[1]]
        >>> [float(g) for g in lola(0.5)(losses, (1.0, 0.0))]
        [1.0, -1.0]

    Reference: arXiv:1709.04326, eq. 6-7.
    """

    def direction(losses: Losses, players: Players) -> Players:
        def expected(i: int, players: Players) -> Float[Array, ""]:
            others = [j for j in range(len(players)) if j != i]
            seen = [_gradient(losses[i], players, j) for j in others]
            theirs = [_gradient(losses[j], players, j) for j in others]
            return losses[i](players) - rate * _dot(seen, theirs)

        shaped = [lambda w, i=i: expected(i, w) for i in range(len(losses))]
        return joint_gradient(shaped, players)

    return direction


def competitive(rate: float | Float[Array, ""], iterations: int = 50) -> Direction:
    """Return the equilibrium of the bilinear approximation of a game of two players.

        d = (I + η M)⁻¹ v,    M = J without its diagonal blocks

    Args:
        rate: η of the step, w ← w − η d.
        iterations: largest number of restarts of GMRES, of 20 products each.

    Returns:
        The direction.

    Raises:
        ValueError: if there are not two players.

    Example:
        >>> losses = [lambda w: w[0] * w[1], lambda w: -w[0] * w[1]]
        >>> [round(float(g), 3) for g in competitive(1.0)(losses, (1.0, 0.0))]
        [0.5, -0.5]

    Reference: arXiv:1905.12103, eq. 5.
    """

    def direction(losses: Losses, players: Players) -> Players:
        if len(players) != 2:
            raise ValueError(f"competitive descent: two players, got {len(players)}")
        v = joint_gradient(losses, players)

        def coupled(d: Players) -> Players:
            return tuple(
                jax.tree.map(lambda own, cross: own + rate * cross, d[i], cross)
                for i, cross in enumerate(_cross(losses, players, d))
            )

        return jax.scipy.sparse.linalg.gmres(coupled, v, maxiter=iterations)[0]

    return direction


def _cross(losses: Losses, players: Players, d: Players) -> list[Any]:
    """Compute Σ_{j≠i} ∂²ℓ_i/∂w_i∂w_j d_j of two players."""
    result = []
    for i, loss in enumerate(losses):
        j = 1 - i

        def along(
            other: Any, i: int = i, j: int = j, loss: Callable[..., Any] = loss
        ) -> Any:
            return _gradient(loss, _replaced(players, j, other), i)

        result.append(jax.jvp(along, (players[j],), (d[j],))[1])
    return result


def _gradient(loss: Callable[[Players], Any], players: Players, i: int) -> Any:
    """Compute ∂ℓ/∂x + i ∂ℓ/∂y of a complex parameter x + iy: the way up."""
    gradient = jax.grad(lambda own: loss(_replaced(players, i, own)))(players[i])
    return jax.tree.map(jnp.conj, gradient)


def _replaced(players: Players, i: int, own: Any) -> Players:
    return (*players[:i], own, *players[i + 1 :])


def _with_transposed(losses: Losses, players: Players) -> tuple[Players, Players]:
    """Compute v and Jᵀ v."""
    v, pull = jax.vjp(lambda w: joint_gradient(losses, w), players)
    return v, pull(v)[0]


def _moved(
    players: Players, change: Players, factor: float | Float[Array, ""]
) -> Players:
    return jax.tree.map(lambda w, d: w + factor * d, players, change)


def _dot(a: Any, b: Any) -> Float[Array, ""]:
    products = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
    return jnp.asarray(sum(jax.tree.leaves(products)))
