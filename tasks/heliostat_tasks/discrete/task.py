"""Many Markov chains over discrete states, informed by gradients or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import heliostat as hs
from heliostat.kernels.discrete.adaptation import (
    SizeAdaptation,
    adapt_size,
    freeze_size,
    init_adaptation,
)
from heliostat.kernels.discrete.bit_packing import pack, unpack
from heliostat.kernels.discrete.chain import Chain, Kernel
from heliostat.kernels.discrete.target import (
    Target,
    check_target,
    checked_state,
    relaxed,
)
from heliostat.kernels.discrete.tempering import Ladder, target_chain
from heliostat_tasks.discrete import estimates
from heliostat_tasks.discrete.samplers import kernel_of
from heliostat_tasks.discrete.targets import TARGETS, VALUES, read_matrix, target_of
from heliostat_tasks.discrete.validate import check

if TYPE_CHECKING:
    import xarray as xr

TRIED = 64
"""Random states at which a target is tried before anything runs."""

WIDTHS = ((16, 8), (1024, 32))
"""Up to so many chains, blocks of so many; beyond, of 1024."""


TargetName = Literal[
    "ising",
    "potts",
    "random-graph",
    "rbm",
    "fhmm",
    "independent",
    "curie-weiss",
    "ebm",
]
"""Targets that need no file."""

SamplerName = Literal[
    "gwg",
    "multi",
    "path",
    "locally-balanced",
    "dmala",
    "dula",
    "gibbs",
    "metropolis",
    "chromatic",
    "block",
    "hamming-ball",
]
"""How a step may be taken."""


OF_A_LADDER = {
    "swap_rate": hs.Var(
        ("pair",), about="probability that neighbouring rungs would exchange"
    )
}
"""What rows tell besides, with more than one rung."""


class State(NamedTuple):
    """One chain, the search for its step size, and its running means."""

    step: Array  # () int32, steps taken
    chain: Chain | Ladder
    search: SizeAdaptation
    occupied: Array  # (D, K - 1) share of draws after warm-up with value 1, 2, ...


@dataclass(frozen=True)
class Discrete(hs.Task):
    """Samples of a discrete density from many chains: p(x) ∝ exp f(x).

    A step is one transition of one chain, by default Gibbs-with-gradients: a site is
    proposed in proportion to exp(Δ_i / 2), where Δ_i is the first-order estimate of
    what a flip of site i does to f, and accepted by Metropolis-Hastings.  Step sizes
    follow the acceptance during ``warmup`` and are frozen after it.

    Example:
        >>> Discrete(size=4, coupling=0.2).model.sites
        16

    Reference: Grathwohl et al., arXiv:2102.04509.
    """

    target: TargetName | hs.Code = "ising"  # built-in, or your own log p: FILE.py:NAME
    size: int = 10  # side of a lattice; else the number of sites (FHMM: of times)
    coupling: float = 0.4  # K = J / kT of every edge, each counted once
    field: float = 0.0  # h / kT of every spin; log-odds of an independent site
    values: int | None = None  # of a site: Potts (3), independent, your own (2)
    hidden: int = 8  # hidden units of the RBM, factors of the FHMM, EBM features
    scale: float = 1.0  # of the RBM's weights
    degree: float = 4.0  # mean neighbours in the random graph
    couplings: hs.File | None = None  # .npy or text: J in place of the Ising lattice
    begin_at: hs.File | None = None  # .npy or text: the state that chains start from
    starts: int = 0  # distinct random starts that chains share; 0 is one each
    sampler: SamplerName = "gwg"  # how a step is taken
    balancing: Literal["sqrt", "ratio", "min", "max"] = "sqrt"  # of informed samplers
    differences: Literal["taylor", "exact"] = "taylor"  # what they see
    longest: int = 8  # most sites of a multi-flip or path; sites of a Hamming ball
    step_size: float | None = None  # fixed; default found in warm-up
    lazy: float = 0.0  # probability of staying: for snapshots across chains
    rungs: int = 1  # temperatures of parallel tempering; 1 is none
    hottest: float = 0.1  # inverse temperature of the last rung
    chains: int = 64  # Markov chains
    warmup: int = 500  # steps that adapt the step size, and do not count

    replica_dim, step_dim = "chain", "draw"
    stride = 100
    steps = 5000
    kept = 4
    emits = {
        "energy_per_site": hs.Var(units="1/site", about="energy per site"),
        "magnetisation": hs.Var(about="mean spin, or mean value of a site"),
        "lp": hs.Var(about="log p, not normalised"),
        "hamming": hs.Var(dtype="int32", about="sites that differ from a fixed state"),
        "acceptance_rate": hs.Var(about="probability that the proposal was accepted"),
        "hops": hs.Var(dtype="int32", about="sites that changed"),
        "step_size": hs.Var(about="step size or radius in use"),
    }
    observes = {"state": hs.Var(("byte",), "uint8", about="state, packed into bits")}

    def __post_init__(self) -> None:
        if self.target not in TARGETS:  # as words of Python come: a path
            object.__setattr__(self, "target", hs.Code(self.target))
        check(self)
        if self.rungs > 1:
            object.__setattr__(self, "emits", {**self.emits, **OF_A_LADDER})
        if self.target in TARGETS and self.target != "ebm":  # whose weights want a
            _ = self.kernel  # device
            if self.begin_at is not None:
                _ = self._given

    @property
    def finds(self) -> tuple[str, ...]:
        return estimates.finds(self)

    @property
    def replicas(self) -> int:
        return self.chains

    @property
    def width(self) -> int:
        """Fixed per class of sizes, so that runs of like size have the same chains."""
        return next((w for most, w in WIDTHS if self.chains <= most), 1024)

    @property
    def model(self) -> Target:
        """The density that the fields describe."""
        return _model(self, jax.dtypes.canonicalize_dtype(float))

    @property
    def kernel(self) -> Kernel:
        """The sampler that the fields describe."""
        return _kernel(self, jax.dtypes.canonicalize_dtype(float))

    def canonical(self) -> dict[str, Any]:
        """Values that were left to their default are that number."""
        return {"values": self.values or VALUES.get(self.target)}

    def prepare(self) -> None:
        """Try the target at random states: a mistake is told before anything runs."""
        try:
            model = self.model
            draw = np.random.default_rng(0)
            shape = (TRIED, model.sites)
            states = draw.integers(0, model.values, shape).astype(np.uint8)
            if self.begin_at is not None:
                states = self._given[None]
            check_target(model, states)
            jax.eval_shape(self.kernel.init, states[0])
        except (ValueError, TypeError) as error:
            raise hs.RequestError(f"target {self.target}: {error}") from error

    def init(self, key: Array, replica: Array, data: Any) -> State:
        model = self.model
        if self.starts:  # shared by chains, and by seeds
            key = jax.random.fold_in(jax.random.key(0), replica % self.starts)
        x = jax.random.randint(key, (model.sites,), 0, model.values).astype(jnp.uint8)
        if self.begin_at is not None:
            x = jnp.asarray(self._given)
        return State(
            jnp.zeros((), jnp.int32),
            self.kernel.init(x),
            self._search(),
            jnp.zeros((model.sites, model.values - 1)),
        )

    def step(
        self, key: Array, state: State, data: Any
    ) -> tuple[State, dict[str, Array]]:
        t, size = state.step + 1, state.search.size
        chain, info = self.kernel.step(key, state.chain, size)
        x = target_chain(chain).x
        told = relaxed(self.model, x)
        row = {
            "energy_per_site": self._energy(told, target_chain(chain).logp),
            "magnetisation": self._order(told, x),
            "lp": target_chain(chain).logp,
            "hamming": jnp.sum(x != self._fixed, dtype=jnp.int32),
            "acceptance_rate": info.acceptance,
            "hops": info.hops,
            "step_size": size,
        }
        if isinstance(chain, Ladder):
            row["swap_rate"] = chain.swaps
        search = self._adapted(state.search, info.acceptance, t)
        occupied = _running(state.occupied, x, t - self.warmup)
        return State(t, chain, search, occupied), row

    def observe(self, state: State, data: Any) -> dict[str, Array]:
        return {"state": pack(target_chain(state.chain).x, self.model.values)}

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        return estimates.headline(rows, self)

    def tree(self, rows: xr.Dataset) -> Mapping[str, xr.Dataset]:
        """Rows as ArviZ names them: posterior, sample_stats, and both in warm-up."""
        return estimates.groups(rows, self.warmup)

    def states(self, observed: xr.Dataset) -> xr.DataArray:
        """Observed states unpacked: (chain, draw, site) uint8.

        Example:
            >>> task.states(run.observed).mean("chain")  # doctest: +SKIP
        """
        packed = observed["state"]
        x = unpack(packed.values, self.model.sites, self.model.values)
        like = packed.isel(byte=0, drop=True).expand_dims(site=x.shape[-1], axis=-1)
        return like.copy(data=x)

    @property
    def _given(self) -> np.ndarray:
        """The state that chains start from, if one was given."""
        assert self.begin_at is not None
        return checked_state(self.model, read_matrix(self.begin_at).ravel())

    @property
    def _fixed(self) -> np.ndarray:
        """The state that Hamming distances are taken to."""
        model = self.model
        return np.random.default_rng(1).integers(0, model.values, model.sites, np.uint8)

    def _energy(self, told: Array, f: Array) -> Array:
        if self.model.energy is None:
            return -f / self.model.sites
        return self.model.energy(told).astype(f.dtype)

    def _order(self, told: Array, x: Array) -> Array:
        if self.model.order is None:
            return jnp.mean(x.astype(float))
        return self.model.order(told)

    def _search(self) -> SizeAdaptation:
        sizes = self.kernel.sizes
        if sizes is None:
            return SizeAdaptation(jnp.ones(()), jnp.zeros(()), jnp.zeros((), jnp.int32))
        fixed = self.step_size
        return init_adaptation(sizes if fixed is None else sizes._replace(start=fixed))

    def _adapted(
        self, search: SizeAdaptation, acceptance: Array, t: Array
    ) -> SizeAdaptation:
        """Follows the acceptance in warm-up, then stands still."""
        sizes = self.kernel.sizes
        if sizes is None or self.step_size is not None or not self.warmup:
            return search
        new = adapt_size(search, acceptance, sizes)
        new = jax.tree.map(
            lambda a, b: jnp.where(t == self.warmup, a, b), freeze_size(new), new
        )
        return jax.tree.map(lambda a, b: jnp.where(t <= self.warmup, a, b), new, search)


@lru_cache(maxsize=16)
def _model(task: Discrete, precision: Any) -> Target:
    """Built once per precision, in which a user's file may make arrays; not kept in the
    task, which travels to workers."""
    return target_of(task)


@lru_cache(maxsize=16)
def _kernel(task: Discrete, precision: Any) -> Kernel:
    return kernel_of(task, _model(task, precision))


def _running(mean: Array, x: Array, n: Array) -> Array:
    """The mean of one more indicator, where the warm-up is over."""
    values = jnp.arange(1, mean.shape[1] + 1, dtype=x.dtype)
    now = (x[:, None] == values[None]).astype(mean.dtype)
    return jnp.where(n > 0, mean + (now - mean) / jnp.maximum(n, 1), mean)
