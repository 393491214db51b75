"""Coefficients of what humans prefer, sampled by many chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax import Array

import heliostat as hs
from heliostat_tasks.preferences import estimates, nuts
from heliostat_tasks.preferences.ground_truth import planted
from heliostat_tasks.preferences.regression import potential_energy
from heliostat_tasks.preferences.tables import Table, read_table

if TYPE_CHECKING:
    import xarray as xr
    from numpyro.infer.hmc import HMCState

SPREAD = 0.5
"""Chains start within ±½ of zero: farther apart than any posterior worth the name."""


@dataclass(frozen=True)
class Preferences(hs.Task):
    """What human preference data reward: Bayesian logistic regression on features,

        p(A ≻ B) = σ(Σ_i α_i φ_i),   α_i ~ Laplace(0, b),

    φ_i being 1 where response A has more of feature i, −1 where B has, 0 where neither.
    A step is one transition of the No-U-Turn sampler; the first ``warmup`` steps adapt
    it and do not count, later ones draw.

    Example:
        >>> Preferences(pairs=100).table.phi.shape
        (100, 23)

    Reference: Sharma et al., arXiv:2310.13548, §4.1.
    """

    data: hs.File | None = None  # .csv or .jsonl of labelled pairs; default synthetic
    pairs: int = 15_000  # of the synthetic set
    data_seed: int = 0  # of the synthetic set
    scale: float = 0.01  # b of the Laplace prior, log-odds
    holdout: float = 0.1  # share of pairs that are not learned from
    chains: int = 4  # Markov chains
    warmup: int = 500  # steps that adapt the sampler, and do not count

    replica_dim, step_dim = "chain", "draw"
    stride = 50
    steps = 2000
    kept = 4
    emits = {
        "coefficients": hs.Var(("feature",), about="log-odds per feature"),
        "potential_energy": hs.Var(units="nat", about="-log posterior, less that at 0"),
        "energy": hs.Var(units="nat", about="potential and kinetic energy"),
        "acceptance_rate": hs.Var(about="mean acceptance along the trajectory"),
        "leapfrog_steps": hs.Var(dtype="int32", about="gradients of the transition"),
        "diverging": hs.Var(dtype="bool", about="the trajectory left its energy"),
        "step_size": hs.Var(about="step size in use"),
    }

    def __post_init__(self) -> None:
        for name in ("pairs", "chains"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected at least 1")
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale {self.scale}: expected more than 0")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout {self.holdout}: expected 0 to less than 1")
        if self.warmup < 20:  # with fewer NumPyro adapts no masses
            raise ValueError(f"warmup {self.warmup}: expected at least 20")
        made = (self.data is None, "the synthetic set")
        hs.check_used(self, {"pairs": made, "data_seed": made})

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., hs.Answer]]:
        from heliostat_tasks.preferences import verbs

        return verbs.VERBS

    @property
    def replicas(self) -> int:
        return self.chains

    @property
    def finds(self) -> tuple[str, ...]:
        return estimates.finds(self)

    @property
    def table(self) -> Table:
        """The labelled pairs, read or made."""
        if self.data is not None:
            return read_table(self.data)
        return _planted(self.pairs, self.data_seed)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the coefficients, in their order."""
        return self.table.features

    def prepare(self) -> np.ndarray:
        """What is learned from: (pairs, F), the preferred response's less the other's.

        Raises:
            heliostat.RequestError: if all pairs are held out.
        """
        x, _ = self.table.split(self.holdout)
        if not len(x):
            raise hs.RequestError(
                f"holdout {self.holdout} leaves no pair to learn from"
            )
        return x.astype(jax.dtypes.canonicalize_dtype(float))

    def init(self, key: Array, replica: Array, data: Any) -> HMCState:
        shape = (data.shape[1],)
        z = jax.random.uniform(key, shape, minval=-SPREAD, maxval=SPREAD)
        return nuts.start(self._potential(data), z, self.warmup)

    def step(
        self, key: Array, state: HMCState, data: Any
    ) -> tuple[HMCState, dict[str, Array]]:
        size = state.adapt_state.step_size
        state = nuts.transition(self._potential(data), key, state, self.warmup)
        row = {
            "coefficients": state.z,
            "potential_energy": state.potential_energy,
            "energy": state.energy,
            "acceptance_rate": state.accept_prob,
            "leapfrog_steps": state.num_steps.astype("int32"),
            "diverging": state.diverging,
            "step_size": size,
        }
        return state, row

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        return estimates.headline(rows, self)

    def tree(self, rows: xr.Dataset) -> Mapping[str, xr.Dataset]:
        """Rows as ArviZ names them: posterior, sample_stats, and both in warm-up."""
        return estimates.groups(rows, self)

    def _potential(self, data: Any) -> nuts.Potential:
        return lambda alpha: potential_energy(alpha, data, self.scale)


@lru_cache(maxsize=4)
def _planted(pairs: int, seed: int) -> Table:
    return planted(pairs, seed)
