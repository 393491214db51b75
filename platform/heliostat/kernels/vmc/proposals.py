"""Proposed moves of one walker: small steps, hops between nuclei, swaps of spins.

A proposal carries log q(x' → x) − log q(x → x'), with which Metropolis and Hastings
keep detailed balance whatever the move.  Small steps alone leave electrons of molecules
whose parts lie far from each other where they started, and spins as they were dealt.

Reference: W. K. Hastings, Biometrika 57, 97 (1970).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key, Shaped


class Nuclei(NamedTuple):
    """Centres of a density, with charges that set its shortest length at each, 1/Z.

    Example:
        >>> Nuclei(jnp.zeros((1, 3)), jnp.array([4.0])).positions.shape
        (1, 3)
    """

    positions: Float[Array, "nuclei d"]  # bohr
    charges: Float[Array, " nuclei"]  # elementary charges


class Move(NamedTuple):
    """A position x' that a walker at x may take.

    Example:
        >>> Move(jnp.zeros((2, 3)), jnp.zeros(())).position.shape
        (2, 3)
    """

    position: Float[Array, "n d"]  # bohr
    log_ratio: Float[Array, ""]  # log q(x' -> x) - log q(x -> x')


def small_step(
    key: Key[Array, ""],
    x: Float[Array, "n d"],
    width: Float[Array, ""],
    nuclei: Nuclei | None = None,
) -> Move:
    """Propose a step of all electrons, short near nuclei and long far from them.

        x' = x + w s(x) ε,   ε ~ N(0, 1),   s(x) = min_A (|x − R_A| + 1/Z_A)

    Core and valence electrons exchange roles, so the place of an electron decides, not
    its index.  With independent Slater orbitals of Be the autocorrelation times of Σr,
    Σr² and log|ψ| fall to between a tenth and a fifth of those of one width for all.

    Args:
        key: key of this walker and this move.
        x: electrons, bohr.
        width: w; without nuclei the standard deviation per coordinate, bohr.
        nuclei: without them s = 1.

    Returns:
        The proposal.

    Example:
        >>> nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([4.0]))
        >>> x, width = jnp.ones((2, 3)), jnp.array(0.3)
        >>> small_step(jax.random.key(0), x, width, nuclei).position.shape
        (2, 3)
    """
    noise = jax.random.normal(key, x.shape, x.dtype)
    if nuclei is None:
        return Move(x + width * noise, jnp.zeros((), x.dtype))
    before = width * _scale(x, nuclei)
    position = x + before[:, None] * noise
    after = width * _scale(position, nuclei)
    ratio = before / after
    log_normal = x.shape[1] * jnp.log(ratio)
    log_normal += 0.5 * (1 - ratio**2) * jnp.sum(noise**2, axis=1)
    return Move(position, jnp.sum(log_normal))


def nucleus_hop(key: Key[Array, ""], x: Float[Array, "n d"], nuclei: Nuclei) -> Move:
    """Propose that one electron moves from its nearest nucleus A to another, B.

        x'_i = x_i + R_B − R_A

    The way back has the same probability if B is then the nearest nucleus, and else
    does not exist.

    Args:
        key: key of this walker and this move.
        x: electrons, bohr.
        nuclei: two or more.

    Returns:
        The proposal; its log ratio is 0, or −∞ without a way back.

    Example:
        >>> nuclei = Nuclei(jnp.array([[0.0], [9.0]]), jnp.ones(2))
        >>> nucleus_hop(jax.random.key(0), jnp.array([[1.0]]), nuclei).position.item()
        10.0
    """
    who, where = jax.random.split(key)
    chosen = jnp.arange(len(x)) == jax.random.randint(who, (), 0, len(x))
    start = _pick(_nearest(x, nuclei), chosen)
    other = jax.random.randint(where, (), 0, len(nuclei.charges) - 1)
    end = other + (other >= start)
    shift = nuclei.positions[end] - nuclei.positions[start]
    position = jnp.where(chosen[:, None], x + shift[None], x)
    returns = _pick(_nearest(position, nuclei), chosen) == end
    return Move(position, jnp.where(returns, 0.0, -jnp.inf).astype(x.dtype))


def spin_swap(key: Key[Array, ""], x: Float[Array, "n d"], up: int) -> Move:
    """Propose that one electron of spin up and one of spin down exchange places.

    Args:
        key: key of this walker and this move.
        x: electrons, bohr, spin up first.
        up: electrons of spin up, less than all of them and at least one.

    Returns:
        The proposal; its log ratio is 0.

    Example:
        >>> x = jnp.array([[1.0], [2.0]])
        >>> spin_swap(jax.random.key(0), x, 1).position.ravel().tolist()
        [2.0, 1.0]
    """
    first, second = jax.random.split(key)
    index = jnp.arange(len(x))
    one = index == jax.random.randint(first, (), 0, up)
    two = index == jax.random.randint(second, (), up, len(x))
    position = jnp.where(one[:, None], _pick(x, two), x)
    position = jnp.where(two[:, None], _pick(x, one), position)
    return Move(position, jnp.zeros((), x.dtype))


def _scale(x: Float[Array, "n d"], nuclei: Nuclei) -> Float[Array, " n"]:
    """Return the length of the density around each electron, bohr."""
    return jnp.min(_distances(x, nuclei) + 1 / nuclei.charges[None], axis=1)


def _nearest(x: Float[Array, "n d"], nuclei: Nuclei) -> Int[Array, " n"]:
    return jnp.argmin(_distances(x, nuclei), axis=1)


def _distances(x: Float[Array, "n d"], nuclei: Nuclei) -> Float[Array, "n nuclei"]:
    return jnp.linalg.norm(x[:, None] - nuclei.positions[None], axis=-1)


def _pick(
    values: Shaped[Array, "n ..."], chosen: Bool[Array, " n"]
) -> Shaped[Array, "..."]:
    """Return the value where ``chosen``; a sum, which walkers split over devices do."""
    mask = chosen.reshape(-1, *[1] * (values.ndim - 1))
    return jnp.sum(jnp.where(mask, values, 0), axis=0)
