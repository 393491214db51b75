"""The wavefunction: a sum of antisymmetric terms, and a Jastrow factor.

    Ψ(x) = e^{J(x)} Σ_k w_k T_k(x)

The terms T_k are those of one head or of two; all see the features h of an attention
backbone.  The cusps are exact at any parameters, because J alone contains them: other
parts see a nucleus through s ~ r² and other electrons through r_ij².

Reference: arXiv:2311.05598 (sortlets); arXiv:2211.13672 (attention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Key

from heliostat.kernels.vmc.signed_log import SignedLog, signed_logsumexp
from heliostat_tasks.vmc.wavefunction.backbone import Backbone
from heliostat_tasks.vmc.wavefunction.electrons import describe_electrons
from heliostat_tasks.vmc.wavefunction.first_guess import Params, draw_params
from heliostat_tasks.vmc.wavefunction.heads.choice import HeadSizes, make_heads
from heliostat_tasks.vmc.wavefunction.heads.head import Head, HeadInputs
from heliostat_tasks.vmc.wavefunction.jastrow import guess_jastrow, jastrow
from heliostat_tasks.vmc.wavefunction.orbitals import Orbitals


@dataclass(frozen=True)
class Ansatz:
    """Sizes of the wavefunction; :meth:`init` draws parameters, a call evaluates it."""

    charges: tuple[int, ...]  # charges of the nuclei
    up: int  # electrons of spin up; they come first
    down: int
    head: str = "sortlet"  # a name, or two joined by +
    features: int = 32  # numbers carried per electron
    layers: int = 2
    attention_heads: int = 4
    terms: int = 8  # sortlets
    determinants: int = 1

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """Heads whose terms are summed."""
        electrons = self.up, self.down
        shared = self.features, self.terms, self.determinants
        return make_heads(self.head, HeadSizes(self.charges, *electrons, *shared))

    @cached_property
    def backbone(self) -> Backbone:
        """Network that all heads share."""
        sizes = self.features, self.layers, self.attention_heads
        return Backbone(len(self.charges), *sizes)

    @cached_property
    def orbitals(self) -> Orbitals | None:
        """Orbitals that all heads share; None if no head is made of them."""
        if not any(head.needs_orbitals for head in self.heads):
            return None
        sets = self.determinants if "determinant" in self.head else 1
        return Orbitals(self.charges, self.up, self.down, self.features, sets)

    def init(
        self,
        key: Key[Array, ""],
        nuclei: Float[Array, "nuclei 3"],
        coefficients: Sequence[Float[ArrayLike, "functions _"]] = (),
    ) -> Params:
        """Draw the parameters of a first guess near Hartree-Fock.

        One draw serves all weights: a draw per weight would take seconds to compile.

        Args:
            key: key of the random weights.
            nuclei: bohr.
            coefficients: of the orbitals of both spins, if a head is made of them.

        Returns:
            Arrays by name.
        """
        guess = {
            "backbone": self.backbone.guess(),
            "jastrow": guess_jastrow(self.charges),
            "heads": [head.guess(nuclei) for head in self.heads],
        }
        if self.orbitals:
            guess["orbitals"] = self.orbitals.guess(coefficients)
        return draw_params(key, guess)

    def __call__(
        self, params: Params, x: Float[Array, "n 3"], nuclei: Float[Array, "nuclei 3"]
    ) -> SignedLog:
        """Evaluate sign and log|Ψ| of one walker ``x (n, 3)``, bohr, spin up first."""
        terms, cusps = self.terms_of(params, x, nuclei)
        weights = jnp.concatenate([head["weight"] for head in params["heads"]])
        total = signed_logsumexp(terms, weights)
        return SignedLog(total.sign, total.log + cusps)

    def shares(
        self, params: Params, x: Float[Array, "n 3"], nuclei: Float[Array, "nuclei 3"]
    ) -> Float[Array, " heads"]:
        """Compute the part of each head in Ψ at one walker, Ψ_head/Ψ; together 1.

        Averaged over |Ψ|² it is the overlap ⟨Ψ_head|Ψ⟩/⟨Ψ|Ψ⟩, whose variance is finite.
        """
        if len(self.heads) == 1:
            return jnp.ones(1, x.dtype)
        (sign, log), _ = self.terms_of(params, x, nuclei)
        weights = [head["weight"] for head in params["heads"]]
        values = jnp.concatenate(weights) * sign * jnp.exp(log - jnp.max(log))
        ends = np.cumsum([len(weight) for weight in weights])[:-1]
        parts = jnp.stack([jnp.sum(part) for part in jnp.split(values, ends)])
        return parts / jnp.sum(parts)

    def terms_of(
        self, params: Params, x: Float[Array, "n 3"], nuclei: Float[Array, "nuclei 3"]
    ) -> tuple[SignedLog, Float[Array, ""]]:
        """Evaluate the terms of all heads, without their weights, and J."""
        alpha = jnp.exp(params["jastrow"]["core"])
        electrons = describe_electrons(x, nuclei, alpha, self.up)
        h = self.backbone(params["backbone"], electrons)
        orbitals = ()
        if self.orbitals:
            orbitals = self.orbitals(params["orbitals"], electrons, h)
        inputs = HeadInputs(electrons, h, orbitals)
        terms = [
            head(own, inputs)
            for head, own in zip(self.heads, params["heads"], strict=True)
        ]
        sign = jnp.concatenate([term.sign for term in terms])
        log = jnp.concatenate([term.log for term in terms])
        cusps = jastrow(params["jastrow"], electrons, self.charges)
        return SignedLog(sign, log), cusps
