"""Games with linear gradients: bilinear, mixed and quadratic ones.

The equilibrium is at zero and the joint gradient is G w, so that the rate of any linear
method is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat.kernels.games.directions import Losses, Players
from heliostat_tasks.games.problems.problem import Game, GameDefaults


class PlayerCouplings(NamedTuple):
    """Matrix of every pair of players."""

    blocks: Float[np.ndarray, "players players n n"]  # [i, j]: ∂²ℓ_i/∂w_i∂w_j


@dataclass(frozen=True)
class LinearGame(Game):
    """Players with ℓ_i = ½ w_iᵀ G_ii w_i + Σ_{j≠i} w_iᵀ G_ij w_j."""

    def start(self, key: Array, data: PlayerCouplings) -> Players:
        n = len(data.blocks)
        draws = jax.random.normal(key, (n, data.blocks.shape[-1]))
        return tuple(draws / jnp.linalg.norm(draws))  # at distance 1

    def losses(self, key: Array, data: PlayerCouplings) -> Losses:
        def loss(i: int, w: Players) -> Array:
            own = w[i] @ jnp.asarray(data.blocks[i, i], w[i].dtype) @ w[i] / 2
            others = [j for j in range(len(w)) if j != i]
            blocks = [jnp.asarray(data.blocks[i, j], w[i].dtype) for j in others]
            shared = [w[i] @ m @ w[j] for m, j in zip(blocks, others, strict=True)]
            return own + sum(shared)

        return [lambda w, i=i: loss(i, w) for i in range(len(data.blocks))]

    def jacobian(self) -> Float[np.ndarray, "m m"]:
        """Return G, the Jacobian of the joint gradient."""
        blocks = self.data().blocks
        return np.block([list(row) for row in blocks])

    def data(self) -> PlayerCouplings:
        raise NotImplementedError


@dataclass(frozen=True)
class Bilinear(LinearGame):
    """ℓ_1 = −ℓ_2 = wᵀ A u with singular values from 1/κ to 1, evenly in their logs."""

    defaults = GameDefaults(0.1, 0.8, np.pi / 8, 400, size=4)
    uses = ("size", "condition")

    def data(self) -> PlayerCouplings:
        n, condition = self.fields.size, self.fields.condition
        a = np.diag(np.geomspace(1 / condition, 1, n))
        zero = np.zeros_like(a)
        return PlayerCouplings(np.array([[zero, a], [-a, zero]]))


@dataclass(frozen=True)
class Mixed(LinearGame):
    """Game between cooperation and conflict, with a share γ_j of conflict by
    coordinate.

        ℓ_1 = Σ_j a_j ((1 − γ_j) x_j²/2 + γ_j x_j y_j)
        ℓ_2 = Σ_j a_j ((1 − γ_j) y_j²/2 − γ_j x_j y_j)

    a_j goes evenly from ¼ to 4, and γ_j is drawn up to the largest, ``mixing``; the
    first is 0, the last ``mixing``.

    Reference: arXiv:2102.08431, section 4.2.
    """

    defaults = GameDefaults(0.1, 0.8, np.pi / 8, 1000, size=7)
    uses = ("size", "mixing", "game_seed")

    def data(self) -> PlayerCouplings:
        n = self.fields.size
        draws = np.random.RandomState(self.fields.seed)  # those of a public script
        a, share = np.linspace(0.25, 4, n), draws.uniform(0, 1, n)
        share[0], share[-1] = 0.0, 1.0
        gamma = self.fields.mixing * share
        own, cross = np.diag((1 - gamma) * a), np.diag(gamma * a)
        return PlayerCouplings(np.array([[own, cross], [-cross, own]]))


@dataclass(frozen=True)
class QuadraticGame(LinearGame):
    """Three players with positive definite own terms and couplings of any sign.

    Couplings are antisymmetric in the players, so that the equilibrium is stable.
    """

    defaults = GameDefaults(0.1, 0.8, np.pi / 8, 400, size=4)
    players = 3
    uses = ("size", "condition", "game_seed")

    def data(self) -> PlayerCouplings:
        n, players, rng = self.fields.size, self.players, self._rng
        blocks = np.zeros((players, players, n, n))
        curvatures = np.geomspace(1 / self.fields.condition, 1, n)
        for i in range(players):
            q = np.linalg.qr(rng.normal(size=(n, n)))[0]
            blocks[i, i] = 0.1 * q @ np.diag(curvatures) @ q.T
            for j in range(i):
                blocks[i, j] = rng.normal(size=(n, n)) / (2 * n) ** 0.5
                blocks[j, i] = -blocks[i, j].T
        return PlayerCouplings(blocks)
