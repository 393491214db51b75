"""Attention backbone: features of every electron among the others.

It sees nuclei through s_I = r − u_I(r) ~ r² and other electrons through r_ij², which
are smooth at contact, so that no parameter can change a cusp.

Reference: von Glehn, Spencer, Pfau, arXiv:2211.13672.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat_tasks.vmc.wavefunction.electrons import Electrons
from heliostat_tasks.vmc.wavefunction.first_guess import Guess, Params, dense

PAIR_LENGTHS = (0.7, 2.0)
"""Length scales of distances between electrons in the attention, bohr."""


@dataclass(frozen=True)
class Backbone:
    """Sizes of the network; :meth:`guess` has its parameters, a call its features."""

    nuclei: int
    features: int  # numbers carried per electron
    layers: int
    heads: int  # attention heads per layer

    def guess(self) -> Params:
        """Guess random weights, whose features mean nothing yet."""
        size = self.features
        layer = {
            "attend": dense(size, 3 * size),
            "mix": dense(size, size),
            "dense": dense(size, size),
            "near": Guess(jnp.zeros((len(PAIR_LENGTHS) * 2, self.heads))),
        }
        return {
            "entry": dense(4 * self.nuclei + 1, size),
            "layers": [layer] * self.layers,
        }

    def __call__(
        self, params: Params, electrons: Electrons
    ) -> Float[Array, "n features"]:
        """Compute features of every electron among the others."""
        away, s, spins = electrons.away, electrons.s, electrons.spins
        near = away / (1 + s[..., None])
        inputs = [near.reshape(len(away), -1), jnp.log1p(s)]
        spin = jnp.asarray(1 - 2 * spins, away.dtype)[:, None]
        h = _apply(params["entry"], jnp.concatenate([*inputs, spin], axis=1))
        pairs = _pairs(electrons)
        for layer in params["layers"]:
            h = h + self._attention(layer, h, pairs)
            h = h + jnp.tanh(_apply(layer["dense"], h))
        return h

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


def _pairs(electrons: Electrons) -> Float[Array, "n n functions"]:
    """Compute smooth functions of r_ij², apart for equal and opposite spins."""
    x, spins = electrons.x, electrons.spins
    square = jnp.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1)
    near = jnp.stack([1 / (1 + square / l**2) for l in PAIR_LENGTHS], axis=-1)
    same = jnp.asarray(np.equal.outer(spins, spins), x.dtype)[..., None]
    return jnp.concatenate([same * near, (1 - same) * near], axis=-1)


def _apply(dense: Params, x: Float[Array, "n inputs"]) -> Float[Array, "n outputs"]:
    return x @ dense["w"] + dense["b"][None]
