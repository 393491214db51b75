"""The task: coefficients of human preferences, sampled by many chains."""

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
from heliostat_tasks.preferences.ground_truth import synthetic_table
from heliostat_tasks.preferences.regression import potential_energy
from heliostat_tasks.preferences.tables import Table, read_table

if TYPE_CHECKING:
    import xarray as xr
    from numpyro.infer.hmc import HMCState

INITIAL_WIDTH = 0.5
"""Chains start uniformly within ±½ of zero: wider than any posterior of interest."""


@dataclass(frozen=True)
class Preferences(hs.Task):
    """Bayesian logistic regression of human preferences on features of responses.

        p(A ≻ B) = σ(Σ_i α_i φ_i),   α_i ~ Laplace(0, b)

    φ_i is 1 if response A has more of feature i, −1 if B has, and 0 if neither.
    A step is one transition of the No-U-Turn sampler. The first ``warmup`` steps adapt
    the sampler and are discarded; later steps are draws from the posterior.

    Example:
        >>> Preferences(pairs=100).table.phi.shape
        (100, 23)

    Reference: Sharma et al., arXiv:2310.13548, §4.1.
    """

    data: hs.File | None = None  # .csv or .jsonl of labelled pairs; default synthetic
    pairs: int = 15_000  # number of pairs in the synthetic set
    data_seed: int = 0  # seed of the synthetic set
    scale: float = 0.01  # b of the Laplace prior, log-odds
    holdout: float = 0.1  # share of pairs held out of the fit
    chains: int = 4  # number of Markov chains
    warmup: int = 500  # steps that adapt the sampler and are discarded

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

    headline_version = 2

    def __post_init__(self) -> None:
        for name in ("pairs", "chains"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected at least 1")
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale {self.scale}: expected more than 0")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout {self.holdout}: expected 0 to less than 1")
        if self.warmup < 20:  # with fewer, NumPyro adapts no mass matrix
            raise ValueError(f"warmup {self.warmup}: expected at least 20")
        synthetic = (self.data is None, "the synthetic set")
        hs.check_used(self, {"pairs": synthetic, "data_seed": synthetic})

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., hs.Answer]]:
        """Commands of ``heliostat preferences``, by name."""
        from heliostat_tasks.preferences import verbs

        return verbs.VERBS

    @property
    def replicas(self) -> int:
        """Number of chains."""
        return self.chains

    @property
    def finds(self) -> tuple[str, ...]:
        """Names of the estimates in a headline."""
        return estimates.names(self.table, self.chains, self.holdout)

    @property
    def table(self) -> Table:
        """The labelled pairs: read from ``data``, or synthetic."""
        if self.data is not None:
            return read_table(self.data)
        return _synthetic(self.pairs, self.data_seed)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in the order of the coefficients."""
        return self.table.features

    def prepare(self) -> np.ndarray:
        """Features of the pairs to learn from, the preferred response's less the
        other's, (pairs, F).

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
        """Draw the start of a chain.

        Args:
            key: randomness of the start.
            replica: () int32, number of the chain; not used.
            data: (pairs, F) features of :meth:`prepare`.

        Returns:
            The sampler's state.
        """
        shape = (data.shape[1],)
        z = jax.random.uniform(key, shape, minval=-INITIAL_WIDTH, maxval=INITIAL_WIDTH)
        return nuts.initial_state(self._potential(data), z, self.warmup)

    def step(
        self, key: Array, state: HMCState, data: Any
    ) -> tuple[HMCState, dict[str, Array]]:
        """Make one transition of the No-U-Turn sampler.

        Args:
            key: randomness of the transition.
            state: the sampler's state.
            data: (pairs, F) features of :meth:`prepare`.

        Returns:
            The next state, and the row of ``emits``.
        """
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
        """Estimate effects, held-out accuracy and convergence from the draws.

        Args:
            rows: all rows of a run, warm-up included.

        Returns:
            Estimates by name; none while there are too few draws.
        """
        draws = rows.isel(draw=slice(self.warmup, None))
        return estimates.headline(draws, self.table, self.holdout)

    def tree(self, rows: xr.Dataset) -> Mapping[str, xr.Dataset]:
        """Group rows as ArviZ does: posterior, sample_stats, and both for the warm-up.

        Args:
            rows: all rows of a run, warm-up included.

        Returns:
            Datasets by the name of their group.
        """
        return estimates.groups(rows, self.features, self.warmup)

    def _potential(self, data: Any) -> nuts.Potential:
        return lambda alpha: potential_energy(alpha, data, self.scale)


@lru_cache(maxsize=4)
def _synthetic(pairs: int, seed: int) -> Table:
    return synthetic_table(pairs, seed)
