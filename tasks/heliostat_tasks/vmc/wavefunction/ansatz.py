"""The wavefunction: K spin-factorised sortlets on the scores of an attention backbone.

    Ψ(x) = e^{J(x)} Σ_k w_k S(a_k↑) S(a_k↓) e^{−X_k} Π_i g_k(r_i) e^{f_k(h_i)}

    g_k(r) = Σ_s π_ks φ_ks(r)                 envelope: exponentials on every nucleus
    a_k(i) = v_k·h_i + Σ_s c_ks p_ks(r_i)       scores;  p_ks = π_ks φ_ks / g_k, shares
    X_k    = Σ_s χ_ks Σ_{i<j, one spin} p_ks(r_i) p_ks(r_j)       crowding of shells
    J(x)   = − Σ_{i<j} c_ij β²/(β + r_ij) − Σ_{iI} Z_I u_I(r_iI)

Two electrons of a spin make a 2 × 2 determinant: g = φ₁ + φ₂ and a = (φ₁ − φ₂)/g give

    g(1) g(2) [a(1) − a(2)] = 2 [φ₁(1) φ₂(2) − φ₂(1) φ₁(2)].

So exponentials from Slater's rules and shares in the score give a first guess near
Hartree-Fock without pretraining, and h, the output of the backbone, corrects it.  With
three electrons of a spin or more, gaps alone allow two of them in one core; X does not.

The cusps are exact at any parameters, because J alone contains them: c = ½ for
opposite and ¼ for parallel spins, u_I(r) = (1 − e^{−αr})/α.  All other parts see a
nucleus through s_I = r − u_I(r) ~ r² and other electrons through r_ij², which are
smooth at contact; φ_ks = e^{−ζ_ks s}.

Reference: arXiv:2311.05598 (sortlets); arXiv:2211.13672 (attention).  The Jastrow
factor of the first is replaced by one whose slope at contact is c for every β.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Key

from heliostat.kernels.vmc.sortlet import SignedLog, signed_logsumexp, sortlet
from heliostat_tasks.vmc.wavefunction.first_guess import (
    Guess,
    Params,
    dense,
    draw_params,
    orbitals,
)
from heliostat_tasks.vmc.wavefunction.slater import Shell, shells_of


@dataclass(frozen=True)
class Ansatz:
    """Sizes of the wavefunction; :meth:`init` draws parameters, a call evaluates it."""

    charges: tuple[int, ...]  # charges of the nuclei
    up: int  # electrons of spin up; they come first
    down: int
    features: int = 32  # numbers carried per electron
    layers: int = 2
    heads: int = 4
    terms: int = 8
    smooth: bool = False  # gaps ℓ tanh(g/ℓ), ℓ trained, instead of g

    def init(self, key: Key[Array, ""], nuclei: Float[Array, "nuclei 3"]) -> Params:
        """Draw the parameters of a first guess near Hartree-Fock.

        One draw serves all weights: a draw per weight would take seconds to compile.

        Args:
            key: key of the random weights.
            nuclei: bohr.

        Returns:
            Arrays by name.
        """
        size, heads = self.features, self.heads
        layer = {
            "attend": dense(size, 3 * size),
            "mix": dense(size, size),
            "dense": dense(size, size),
            "near": Guess(jnp.zeros((len(PAIR_LENGTHS) * 2, heads))),
        }
        guess = {
            "entry": dense(4 * len(self.charges) + 1, size),
            "layers": [layer] * self.layers,
            "beta": Guess(jnp.zeros(2)),  # log β, bohr: parallel, opposite spins
            "core": Guess(jnp.log(jnp.asarray(self.charges, float))),  # log α, 1/bohr
            "weight": Guess(jnp.ones(self.terms)),
        }
        electrons = (self.up, self.down)
        return draw_params(
            key, guess | orbitals(self.shells, electrons, self.terms, size, nuclei)
        )

    def __call__(
        self, params: Params, x: Float[Array, "n 3"], nuclei: Float[Array, "nuclei 3"]
    ) -> SignedLog:
        """Evaluate sign and log|Ψ| of one walker ``x (n, 3)``, bohr, spin up first."""
        away = x[:, None, :] - nuclei[None, :, :]
        r = jnp.sqrt(jnp.sum(away**2, axis=-1) + TINY)
        alpha = jnp.exp(params["core"])
        u = -jnp.expm1(-alpha[None] * r) / alpha[None]
        h = self._backbone(params, x, away, r - u)
        envelope, shares = self._envelope(params, r - u)
        terms = self._terms(params, h, envelope, shares)
        total = signed_logsumexp(terms)
        cusps = self._jastrow(params, x) - jnp.sum(
            u @ jnp.asarray(self.charges, u.dtype)
        )
        return SignedLog(total.sign, total.log + cusps)

    @property
    def spins(self) -> np.ndarray:
        """+1 for the first ``up`` electrons, −1 for the rest."""
        return np.repeat([1.0, -1.0], [self.up, self.down])

    @property
    def shells(self) -> tuple[Shell, ...]:
        """Exponentials of the envelope, nucleus by nucleus."""
        return shells_of(self.charges)

    def _backbone(
        self,
        params: Params,
        x: Float[Array, "n 3"],
        away: Float[Array, "n nuclei 3"],
        s: Float[Array, "n nuclei"],
    ) -> Float[Array, "n features"]:
        """Compute features of every electron among the others."""
        near = away / (1 + s[..., None])
        inputs = [near.reshape(len(x), -1), jnp.log1p(s)]
        spin = jnp.asarray(self.spins, x.dtype)[:, None]
        h = _apply(params["entry"], jnp.concatenate([*inputs, spin], axis=1))
        pairs = self._pairs(x)
        for layer in params["layers"]:
            h = h + self._attention(layer, h, pairs)
            h = h + jnp.tanh(_apply(layer["dense"], h))
        return h

    def _pairs(self, x: Float[Array, "n 3"]) -> Float[Array, "n n functions"]:
        """Compute smooth functions of r_ij², apart for equal and opposite spins."""
        square = jnp.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1)
        near = jnp.stack([1 / (1 + square / l**2) for l in PAIR_LENGTHS], axis=-1)
        same = jnp.asarray(np.equal.outer(self.spins, self.spins), x.dtype)[..., None]
        return jnp.concatenate([same * near, (1 - same) * near], axis=-1)

    def _attention(
        self,
        layer: Params,
        h: Float[Array, "n features"],
        pairs: Float[Array, "n n functions"],
    ) -> Float[Array, "n features"]:
        """Attend to other electrons; the logits include the distances of pairs."""
        n, size = h.shape
        parts = _apply(layer["attend"], h).reshape(n, 3, self.heads, -1)
        q, k, v = parts[:, 0], parts[:, 1], parts[:, 2]
        logits = jnp.einsum("ihd,jhd->ijh", q, k) * (size / self.heads) ** -0.5
        weights = jax.nn.softmax(logits + pairs @ layer["near"], axis=1)
        return _apply(
            layer["mix"], jnp.einsum("ijh,jhd->ihd", weights, v).reshape(n, -1)
        )

    def _envelope(
        self, params: Params, s: Float[Array, "n nuclei"]
    ) -> tuple[Float[Array, "n terms"], Float[Array, "n terms shells"]]:
        """Compute log g_k(r_i) and the shares p_ks(r_i)."""
        at = s[:, np.array([nucleus for nucleus, *_ in self.shells])]
        spin = np.repeat([0, 1], [self.up, self.down])
        logs = params["pi"][spin] - jnp.exp(params["zeta"])[spin] * at[:, None, :]
        total = jax.nn.logsumexp(logs, axis=-1)
        return total, jnp.exp(logs - total[..., None])

    def _terms(
        self,
        params: Params,
        h: Float[Array, "n features"],
        envelope: Float[Array, "n terms"],
        shares: Float[Array, "n terms shells"],
    ) -> SignedLog:
        """Compute sign and log of every term, ``(terms,)``, weights included."""
        logs = jnp.sum(envelope + h @ params["factor"], axis=0)
        sign, weight = jnp.sign(params["weight"]), jnp.log(jnp.abs(params["weight"]))
        for spin, block in enumerate((slice(0, self.up), slice(self.up, None))):
            if (self.up, self.down)[spin] > 1:
                product = self._sortlets(params, spin, h[block], shares[block])
                crowding = params["crowd"][spin] * _pairs_within(shares[block])
                logs = logs + product.log - jnp.sum(crowding, axis=-1)
                sign = sign * product.sign
        return SignedLog(sign, logs + weight)

    def _sortlets(
        self,
        params: Params,
        spin: int,
        h: Float[Array, "n features"],
        shares: Float[Array, "n terms shells"],
    ) -> SignedLog:
        scores = h @ params["score"][spin]
        scores = scores + jnp.einsum("ks,iks->ik", params["share"][spin], shares)
        if self.smooth:
            return jax.vmap(sortlet)(scores.T, jnp.exp(params["length"]))
        return jax.vmap(sortlet)(scores.T)

    def _jastrow(self, params: Params, x: Float[Array, "n 3"]) -> Float[Array, ""]:
        """Compute −Σ_{i<j} c β²/(β + r_ij), whose slope at contact is c."""
        i, j = np.triu_indices(len(x), 1)
        r = jnp.sqrt(jnp.sum((x[i] - x[j]) ** 2, axis=-1) + TINY)
        opposite = (self.spins[i] != self.spins[j]).astype(int)
        beta = jnp.exp(params["beta"])[opposite]
        cusp = jnp.asarray(np.where(opposite, 0.5, 0.25), x.dtype)
        return -jnp.sum(cusp * beta**2 / (beta + r))


TINY = 1e-20
"""Added to squared distances, bohr²: the norm has no derivative at 0."""

PAIR_LENGTHS = (0.7, 2.0)
"""Length scales of distances between electrons in the attention, bohr."""


def _pairs_within(
    shares: Float[Array, "n terms shells"],
) -> Float[Array, "terms shells"]:
    """Sum p(i) p(j) over pairs of electrons i < j."""
    return (jnp.sum(shares, axis=0) ** 2 - jnp.sum(shares**2, axis=0)) / 2


def _apply(dense: Params, x: Float[Array, "n inputs"]) -> Float[Array, "n outputs"]:
    return x @ dense["w"] + dense["b"][None]
