"""Sortlets on the shares of shells, exact for two electrons of a spin.

    T_k = S(a_k↑) S(a_k↓) e^{−X_k} Π_i g_k(r_i) e^{f_k·h_i}

    g_k(r) = Σ_s π_ks φ_ks(r)                 envelope: exponentials on every nucleus
    a_k(i) = v_k·h_i + Σ_s c_ks p_ks(r_i)       scores;  p_ks = π_ks φ_ks / g_k, shares
    X_k    = Σ_s χ_ks Σ_{i<j, one spin} p_ks(r_i) p_ks(r_j)       crowding of shells

Two electrons of a spin make a 2 × 2 determinant: g = φ₁ + φ₂ and a = (φ₁ − φ₂)/g give

    g(1) g(2) [a(1) − a(2)] = 2 [φ₁(1) φ₂(2) − φ₂(1) φ₁(2)].

So exponentials from Slater's rules and shares in the score give a first guess near
Hartree-Fock.  With three electrons of a spin or more, gaps alone allow two of them in
one core; X does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat_tasks.vmc.wavefunction.first_guess import Guess, Params, guess_shells
from heliostat_tasks.vmc.wavefunction.heads.head import HeadInputs
from heliostat_tasks.vmc.wavefunction.heads.products import products
from heliostat_tasks.vmc.wavefunction.slater import Shell, shells_of


@dataclass(frozen=True)
class ShellSortlets:
    """Products of scores with an envelope of exponentials on every nucleus."""

    product: str
    terms: int
    up: int
    down: int
    features: int
    charges: tuple[int, ...]
    needs_orbitals: bool = False

    @property
    def shells(self) -> tuple[Shell, ...]:
        """Exponentials of the envelope, nucleus by nucleus."""
        return shells_of(self.charges)

    def guess(self, nuclei: Float[Array, "nuclei 3"]) -> Params:
        """Guess envelopes from Slater's rules, and scores that separate the shells."""
        shapes = (self.up, self.down), self.terms, self.features
        weight = Guess(jnp.ones(self.terms))
        return {"weight": weight} | guess_shells(self.shells, *shapes, nuclei)

    def __call__(self, params: Params, inputs: HeadInputs) -> SignedLog:
        """Compute sign and log of every term."""
        envelope, shares = self._envelope(params, inputs)
        logs = jnp.sum(envelope + inputs.h @ params["factor"], axis=0)
        sign = jnp.ones_like(logs)
        for spin, block in enumerate(inputs.electrons.blocks):
            if (self.up, self.down)[spin] > 1:
                product = self._products(params, spin, inputs.h[block], shares[block])
                crowding = params["crowd"][spin] * _pairs_within(shares[block])
                logs = logs + product.log - jnp.sum(crowding, axis=-1)
                sign = sign * product.sign
        return SignedLog(sign, logs)

    def _envelope(
        self, params: Params, inputs: HeadInputs
    ) -> tuple[Float[Array, "n terms"], Float[Array, "n terms shells"]]:
        """Compute log g_k(r_i) and the shares p_ks(r_i)."""
        at = inputs.electrons.s[:, np.array([shell.nucleus for shell in self.shells])]
        spin = inputs.electrons.spins
        logs = params["pi"][spin] - jnp.exp(params["zeta"])[spin] * at[:, None, :]
        total = jax.nn.logsumexp(logs, axis=-1)
        return total, jnp.exp(logs - total[..., None])

    def _products(
        self,
        params: Params,
        spin: int,
        h: Float[Array, "n features"],
        shares: Float[Array, "n terms shells"],
    ) -> SignedLog:
        scores = h @ params["score"][spin]
        scores = scores + jnp.einsum("ks,iks->ik", params["share"][spin], shares)
        return products(self.product, scores, jnp.exp(params["length"]))


def _pairs_within(
    shares: Float[Array, "n terms shells"],
) -> Float[Array, "terms shells"]:
    """Sum p(i) p(j) over pairs of electrons i < j."""
    return (jnp.sum(shares, axis=0) ** 2 - jnp.sum(shares**2, axis=0)) / 2
