"""First guess of the parameters: near Hartree-Fock, without pretraining.

Envelopes take their exponents from Slater's rules, scores separate the shells, and the
backbone starts as noise that corrects neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Key

from heliostat_tasks.vmc.wavefunction.slater import Shell

Params = dict[str, Any]

CROWD = 6.0
"""First χ of an inner shell: a second electron of its spin costs a factor e⁻⁶."""


class Guess(NamedTuple):
    """Mean and standard deviation that an array of parameters is drawn with."""

    mean: Array
    spread: Array | float = 0.0


def draw_params(key: Key[Array, ""], guess: Params) -> Params:
    """Draw every array of a tree of guesses, by one draw for all of them."""
    mean, unravel = ravel_pytree(_map(lambda g: g.mean, guess))
    spread, _ = ravel_pytree(
        _map(lambda g: jnp.broadcast_to(g.spread, g.mean.shape), guess)
    )
    return unravel(mean + spread * jax.random.normal(key, mean.shape, mean.dtype))


def _map(of: Callable[[Guess], Array], guess: Params) -> Params:
    return jax.tree.map(of, guess, is_leaf=lambda leaf: isinstance(leaf, Guess))


def dense(inputs: int, outputs: int) -> Params:
    """Guess an affine layer: weights of variance 1/inputs, no bias."""
    weights = Guess(jnp.zeros((inputs, outputs)), inputs**-0.5)
    return {"w": weights, "b": Guess(jnp.zeros(outputs))}


def guess_shells(
    shells: Sequence[Shell],
    electrons: tuple[int, int],
    terms: int,
    features: int,
    nuclei: Float[Array, "nuclei 3"],
) -> Params:
    """Guess envelopes from Slater's rules, and scores that separate the shells.

    Args:
        shells: shells of all nuclei.
        electrons: numbers of electrons of spin up and down.
        terms: sortlets in the sum.
        features: numbers per electron in the backbone.
        nuclei: bohr.

    Returns:
        A guess for each array of parameters, by name.
    """
    wide = lambda x: jnp.broadcast_to(x, (2, terms, len(shells)))  # noqa: E731
    exponents = jnp.log(jnp.asarray([shell.exponent for shell in shells], float))
    filling = jnp.stack([_filling(shells, count) for count in electrons])
    # up to two electrons of a spin differ by shell; more differ by direction too
    spread = jnp.where(jnp.array(electrons) > 2, 1.0, 0.05)
    directions = jnp.zeros((2, features, terms))
    return {
        "zeta": Guess(wide(exponents), 0.02),
        "pi": Guess(wide(filling[:, None])),
        "score": Guess(directions, (spread * features**-0.5)[:, None, None]),
        "share": Guess(wide(_contrast(shells, max(electrons), nuclei)), 0.05),
        "factor": Guess(jnp.zeros((features, terms))),
        "length": Guess(jnp.zeros(terms)),
        "crowd": Guess(wide(_crowding(shells, electrons)[:, None])),
    }


def _filling(shells: Sequence[Shell], electrons: int) -> Float[Array, " shells"]:
    """Guess log π of each shell for one spin: 3/2 log ζ normalises the exponential.

    Shells that the electrons do not reach start almost empty.
    """
    logs, left = np.zeros(len(shells)), electrons
    for depth in sorted({shell.depth for shell in shells}, reverse=True):
        level = [i for i, shell in enumerate(shells) if shell.depth == depth]
        logs[level] = 1.5 * np.log([shells[i].exponent for i in level])
        logs[level] -= 4.0 if left <= 0 < electrons else 0.0
        left -= sum(_capacity(shells, i) for i in level)
    return jnp.asarray(logs)


def _capacity(shells: Sequence[Shell], index: int) -> int:
    """Count electrons of one spin in a shell: 1 in the innermost, else 4."""
    first = index == 0 or shells[index - 1].nucleus != shells[index].nucleus
    return 1 if first else 4


def _crowding(
    shells: Sequence[Shell], electrons: tuple[int, int]
) -> Float[Array, "2 shells"]:
    """Guess χ of each shell for both spins: inner shells hold one electron."""
    inner = np.array([shell.depth > 0 for shell in shells], float)
    return jnp.asarray([CROWD * inner * (count > 2) for count in electrons])


def _contrast(
    shells: Sequence[Shell], electrons: int, nuclei: Float[Array, "nuclei 3"]
) -> Float[Array, "1 1 shells"]:
    """Guess the score of each shell: high for inner, low for outer ones.

    With more electrons of one spin than kinds of shell, the score also differs by
    nucleus, along the longest axis of the molecule.
    """
    depth = np.array([shell.depth for shell in shells], float)
    score = jnp.asarray(2 * depth - depth.max())[None, None]
    if electrons <= len(set(depth)) or len(nuclei) == 1:
        return score
    centred = nuclei - jnp.mean(nuclei, axis=0, keepdims=True)
    axis = jnp.linalg.svd(centred, full_matrices=False)[2][0]
    along = centred @ axis
    along = along / jnp.max(jnp.abs(along))
    nucleus_of = np.array([shell.nucleus for shell in shells])
    return score + 0.5 * along[nucleus_of][None, None]
