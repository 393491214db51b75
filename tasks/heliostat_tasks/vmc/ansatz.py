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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Key

from heliostat.kernels.vmc.sortlet import SignedLog, signed_logsumexp, sortlet

Params = dict[str, Any]


@dataclass(frozen=True)
class Ansatz:
    """Sizes of the wavefunction; :meth:`init` draws parameters, a call evaluates it."""

    charges: tuple[int, ...]  # of the nuclei
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
            key: of the random weights.
            nuclei: bohr.

        Returns:
            Arrays by name.
        """
        guess = {
            "entry": _dense(4 * len(self.charges) + 1, self.features),
            "layers": [self._layer() for _ in range(self.layers)],
            "beta": Guess(jnp.zeros(2)),  # log β, bohr: parallel, opposite spins
            "core": Guess(jnp.log(jnp.asarray(self.charges, float))),  # log α, 1/bohr
            "weight": Guess(jnp.ones(self.terms)),
        } | self._orbitals(nuclei)
        mean, unravel = ravel_pytree(_each(lambda g: g.mean, guess))
        spread, _ = ravel_pytree(
            _each(lambda g: jnp.broadcast_to(g.spread, g.mean.shape), guess)
        )
        return unravel(mean + spread * jax.random.normal(key, mean.shape, mean.dtype))

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
    def shells(self) -> tuple[tuple[int, int, float], ...]:
        """Nucleus, shell (0 is the outermost) and exponent of every exponential."""
        return tuple(
            (nucleus, len(zetas) - 1 - n, zeta)
            for nucleus, charge in enumerate(self.charges)
            for zetas in [slater_exponents(charge)]
            for n, zeta in enumerate(zetas)
        )

    def _layer(self) -> Params:
        size = self.features
        return {
            "attend": _dense(size, 3 * size),
            "mix": _dense(size, size),
            "dense": _dense(size, size),
            "near": Guess(jnp.zeros((len(PAIR_LENGTHS) * 2, self.heads))),
        }

    def _orbitals(self, nuclei: Float[Array, "nuclei 3"]) -> Params:
        """Guess envelopes from Slater's rules, and scores that separate the shells."""
        count = (2, self.terms, len(self.shells))
        wide = lambda x: jnp.broadcast_to(x, count)  # noqa: E731
        exponents = jnp.log(jnp.asarray([zeta for *_, zeta in self.shells], float))
        filling = jnp.stack([self._filling(self.up), self._filling(self.down)])
        # up to two electrons of a spin differ by shell; more differ by direction too
        spread = jnp.where(jnp.array([self.up, self.down]) > 2, 1.0, 0.05)
        directions = jnp.zeros((2, self.features, self.terms))
        return {
            "zeta": Guess(wide(exponents), 0.02),
            "pi": Guess(wide(filling[:, None])),
            "score": Guess(directions, (spread * self.features**-0.5)[:, None, None]),
            "share": Guess(wide(self._contrast(nuclei)), 0.05),
            "factor": Guess(jnp.zeros((self.features, self.terms))),
            "length": Guess(jnp.zeros(self.terms)),
            "crowd": Guess(wide(self._crowding()[:, None])),
        }

    def _filling(self, electrons: int) -> Float[Array, " shells"]:
        """Guess log π of each shell for one spin: 3/2 log ζ normalises the exponential.

        Shells that the electrons do not reach start almost empty.
        """
        logs, left = np.zeros(len(self.shells)), electrons
        for depth in sorted({depth for _, depth, _ in self.shells}, reverse=True):
            level = [i for i, shell in enumerate(self.shells) if shell[1] == depth]
            logs[level] = 1.5 * np.log([self.shells[i][2] for i in level])
            logs[level] -= 4.0 if left <= 0 < electrons else 0.0
            left -= sum(self._capacity(i) for i in level)
        return jnp.asarray(logs)

    def _crowding(self) -> Float[Array, "2 shells"]:
        """Guess χ of each shell for both spins: inner shells hold one electron."""
        inner = np.array([depth > 0 for _, depth, _ in self.shells], float)
        return jnp.asarray([CROWD * inner * (n > 2) for n in (self.up, self.down)])

    def _capacity(self, index: int) -> int:
        """Count electrons of one spin in a shell: 1 in the innermost, else 4."""
        first = index == 0 or self.shells[index - 1][0] != self.shells[index][0]
        return 1 if first else 4

    def _contrast(self, nuclei: Float[Array, "nuclei 3"]) -> Float[Array, "1 1 shells"]:
        """Guess the score of each shell: high for inner, low for outer ones.

        With more electrons of one spin than kinds of shell, the score also differs by
        nucleus, along the longest axis of the molecule.
        """
        depth = np.array([depth for _, depth, _ in self.shells], float)
        score = jnp.asarray(2 * depth - depth.max())[None, None]
        if max(self.up, self.down) <= len(set(depth)) or len(self.charges) == 1:
            return score
        centred = nuclei - jnp.mean(nuclei, axis=0, keepdims=True)
        axis = jnp.linalg.svd(centred, full_matrices=False)[2][0]
        along = centred @ axis
        along = along / jnp.max(jnp.abs(along))
        nucleus_of = np.array([nucleus for nucleus, *_ in self.shells])
        return score + 0.5 * along[nucleus_of][None, None]

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


CROWD = 6.0
"""First χ of an inner shell: a second electron of its spin costs a factor e⁻⁶."""

TINY = 1e-20
"""Added to squared distances, bohr²: the norm has no derivative at 0."""

PAIR_LENGTHS = (0.7, 2.0)
"""Length scales of distances between electrons in the attention, bohr."""


def _pairs_within(
    shares: Float[Array, "n terms shells"],
) -> Float[Array, "terms shells"]:
    """Sum p(i) p(j) over pairs of electrons i < j."""
    return (jnp.sum(shares, axis=0) ** 2 - jnp.sum(shares**2, axis=0)) / 2


def slater_exponents(charge: int) -> tuple[float, ...]:
    """Compute the exponents of an atom's shells by Slater's rules.

    ζ_n = (Z − σ_n)/n with screening 0.35 from the same shell (0.30 in the first), 0.85
    from the shell below and 1 from deeper ones.

    Args:
        charge: of the nucleus, elementary charges.

    Returns:
        Exponents in 1/bohr, innermost shell first.

    Example:
        >>> [round(z, 2) for z in slater_exponents(3)]
        [2.7, 0.65]

    Reference: J. C. Slater, Phys. Rev. 36, 57 (1930).
    """
    left, filled, exponents = charge, [], []
    for n, capacity in enumerate((2, 8, 8, 18, 18), start=1):
        if left <= 0:
            break
        count = min(left, capacity)
        screening = (0.3 if n == 1 else 0.35) * (count - 1)
        screening += 0.85 * filled[-1] + sum(filled[:-1]) if filled else 0.0
        exponents.append((charge - screening) / n)
        filled.append(count)
        left -= count
    return tuple(exponents)


class Guess(NamedTuple):
    """Mean and standard deviation that an array of parameters is drawn with."""

    mean: Array
    spread: Array | float = 0.0


def _each(of: Callable[[Guess], Array], guess: Params) -> Params:
    return jax.tree.map(of, guess, is_leaf=lambda leaf: isinstance(leaf, Guess))


def _dense(inputs: int, outputs: int) -> Params:
    weights = Guess(jnp.zeros((inputs, outputs)), inputs**-0.5)
    return {"w": weights, "b": Guess(jnp.zeros(outputs))}


def _apply(dense: Params, x: Float[Array, "n inputs"]) -> Float[Array, "n outputs"]:
    return x @ dense["w"] + dense["b"][None]
