"""Sortlets on the directions of orbitals, for any number of electrons.

    T_k = S(a_k↑) S(a_k↓) Π_i |φ(i)| e^{f_k·h_i}
    a_k(i) = c_k·φ(i)/|φ(i)| + v_k·h_i

φ(i) is the row of an electron in the Slater matrix.  By Hadamard's inequality
|det φ| ≤ Π_i |φ(i)|: beside a determinant of the same orbitals no term runs off where
walkers are rare, since scores and so the product of their gaps are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat_tasks.vmc.wavefunction.electrons import TINY
from heliostat_tasks.vmc.wavefunction.first_guess import Guess, Params
from heliostat_tasks.vmc.wavefunction.heads.head import HeadInputs
from heliostat_tasks.vmc.wavefunction.heads.products import REACH, products


@dataclass(frozen=True)
class OrbitalSortlets:
    """Products of scores that start as random directions among the orbitals.

    ``weight`` is the first weight of the terms: 0 beside another head, which then
    starts alone.
    """

    product: str
    terms: int
    up: int
    down: int
    features: int
    weight: float = 1.0
    needs_orbitals: bool = True

    def guess(self, nuclei: Float[Array, "nuclei 3"]) -> Params:
        """Guess scores in random directions, all terms of equal size."""
        size, spread = self.features, 0.1 * self.features**-0.5
        counts = (self.up, self.down)
        return {
            "weight": Guess(jnp.full(self.terms, self.weight)),
            "factor": Guess(jnp.zeros((size, self.terms))),
            "length": Guess(jnp.zeros(self.terms)),  # log ℓ
            "direction": [Guess(jnp.zeros((n, self.terms)), 1.0) for n in counts],
            "score": [Guess(jnp.zeros((size, self.terms)), spread) for _ in counts],
        }

    def __call__(self, params: Params, inputs: HeadInputs) -> SignedLog:
        """Compute sign and log of every term."""
        logs = jnp.sum(inputs.h @ params["factor"], axis=0)
        sign = jnp.ones_like(logs)
        for spin, block in enumerate(inputs.electrons.blocks):
            rows = inputs.orbitals[spin][0]
            length = jnp.sqrt(jnp.sum(rows**2, axis=-1) + TINY)
            logs = logs + jnp.sum(jnp.log(length))
            if len(rows) > 1:
                scores = (rows / length[:, None]) @ params["direction"][spin]
                scores = scores + inputs.h[block] @ params["score"][spin]
                product = products(self.product, scores, jnp.exp(params["length"]))
                size = typical_size(self.product, len(rows))
                sign, logs = sign * product.sign, logs + product.log - size
        return SignedLog(sign, logs)


@lru_cache
def typical_size(product: str, electrons: int) -> float:
    """Return the median log of a product of scores over that of a determinant.

    Both are of random orbitals: scores are normal, rows of determinants of unit length.
    A weight of 1 then means about the size of the determinant.
    """
    random = np.random.default_rng(0)
    scores = np.sort(random.normal(size=(2001, electrons)))
    rows = random.normal(size=(2001, electrons, electrons))
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    logs = np.zeros(2001)
    for distance in range(1, REACH.get(product, electrons)):
        gaps = scores[:, distance:] - scores[:, :-distance]
        logs += np.log(np.tanh(gaps) if product == "smooth" else gaps).sum(axis=1)
    return float(np.median(logs - np.linalg.slogdet(rows)[1]))
