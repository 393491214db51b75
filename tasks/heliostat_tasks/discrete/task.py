"""Task ``discrete``: many Markov chains over discrete states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import UInt8

import heliostat as hs
from heliostat.kernels.discrete.bit_packing import pack, unpack
from heliostat.kernels.discrete.chain import MarkovKernel
from heliostat.kernels.discrete.target import Target, checked_state
from heliostat.kernels.discrete.tempering import target_chain
from heliostat_tasks.discrete import estimates, measures
from heliostat_tasks.discrete.chain import (
    State,
    init_state,
    refresh_state,
    transition,
)
from heliostat_tasks.discrete.couplings import read_sites
from heliostat_tasks.discrete.exact import references
from heliostat_tasks.discrete.samplers import SamplerName, build_kernel
from heliostat_tasks.discrete.targets import (
    COUPLING,
    TARGETS,
    VALUES,
    TargetName,
    build_target,
    load_density,
)
from heliostat_tasks.discrete.trial import check_model
from heliostat_tasks.discrete.validate import check_fields, uses

if TYPE_CHECKING:
    import xarray as xr

WIDTHS = ((16, 8), (1024, 32))
"""(Most chains, width of a block); beyond, blocks have 1024 chains."""


@dataclass(frozen=True)
class Discrete(hs.Task):
    """Sampling of a discrete density p(x) ∝ exp f(x) by many Markov chains.

    A step is one transition of one chain. The default is Gibbs-with-gradients: it
    proposes to flip site i with probability ∝ exp(Δ_i / 2), where Δ_i is the
    first-order estimate of the change of f, and accepts by Metropolis-Hastings. Step
    sizes follow the acceptance during ``warmup`` and are fixed afterwards.

    Spins are s = 2x − 1, log p = K Σ_{i<j} J_ij s_i s_j + Σ_i h_i s_i, and J_ij = 1 on
    the edges of a lattice: K > 0 favours equal spins, h > 0 favours s = 1.

    Raises:
        ValueError: for fields that make no sense, in one line.

    Example:
        >>> Discrete(size=4, coupling=0.2).model.sites
        16

    Reference: Grathwohl et al., arXiv:2102.04509.
    """

    target: TargetName | hs.Code = "ising"  # built-in, or your own log p: FILE.py:NAME
    size: int = 10  # side of a lattice; else the number of sites (FHMM: of times)
    coupling: float | None = None  # K of log p = K Σ J s s + Σ h s; 0.4, of a file 1
    field: float | hs.File = 0.0  # h, a number or a file; log-odds if independent
    values: int | None = None  # values of a site: Potts (3), independent, your own (2)
    hidden: int = 8  # hidden units of the RBM, factors of the FHMM, EBM features
    scale: float = 1.0  # scale of the RBM's weights
    degree: float = 4.0  # mean neighbours in the random graph
    couplings: hs.File | None = None  # J in place of the lattice: matrix, edges, QUBO
    begin_at: hs.File | None = None  # the state that chains start from
    starts: int = 0  # distinct random starts that chains share; 0 is one each
    sampler: SamplerName = "gwg"  # how a step is taken
    balancing: Literal["sqrt", "ratio", "min", "max"] = "sqrt"  # g of informed samplers
    differences: Literal["taylor", "exact"] = "taylor"  # gains of informed samplers
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
    headline_version = 2
    emits = measures.EMITS
    observes = {"state": hs.Var(("byte",), "uint8", about="state, packed into bits")}

    def __post_init__(self) -> None:
        if self.target not in TARGETS:  # in Python, a path is a plain string
            object.__setattr__(self, "target", hs.Code(self.target))
        check_fields(self.field_values)
        hs.check_used(self, uses(self.field_values))
        if self.rungs > 1:
            object.__setattr__(self, "emits", {**self.emits, **measures.OF_A_LADDER})
        if self.target in TARGETS and self.target != "ebm":  # its weights need a device
            _ = self.kernel, self._start  # refused at once if they do not fit

    @property
    def finds(self) -> tuple[str, ...]:
        """Names of the estimates in a headline."""
        return estimates.names(self.chains, self.starts, self.rungs)

    @property
    def replicas(self) -> int:
        """Number of chains."""
        return self.chains

    @property
    def width(self) -> int:
        """Chains in a block: one of three numbers, so that similar runs are equal."""
        return next((w for most, w in WIDTHS if self.chains <= most), 1024)

    @property
    def model(self) -> Target:
        """Density that the fields describe."""
        return _model(self, jax.dtypes.canonicalize_dtype(float))

    @property
    def kernel(self) -> MarkovKernel:
        """Sampler that the fields describe."""
        return _kernel(self, jax.dtypes.canonicalize_dtype(float))

    def canonical(self) -> dict[str, Any]:
        """Return ``coupling`` and ``values`` as numbers, also where they were None."""
        values = self.values or VALUES.get(self.target)
        return {"coupling": self._coupling, "values": values}

    def prepare(self) -> None:
        """Evaluate the target at random states, to find mistakes before the run.

        Raises:
            heliostat.RequestError: if the target or the sampler fails there.
        """
        try:
            check_model(self.model, self.kernel, self._start, self.field_values)
        except (ValueError, TypeError) as error:
            raise hs.RequestError(f"target {self.target}: {error}") from error

    def init(self, key: Array, replica: Array, data: Any) -> State:
        """Draw the start of a chain.

        Args:
            key: randomness of the start.
            replica: () int32, number of the chain.
            data: None.

        Returns:
            The state before the first step.
        """
        if self.starts:  # chains share starts, and all seeds have the same
            key = jax.random.fold_in(jax.random.key(0), replica % self.starts)
        shape, values = (self.model.sites,), self.model.values
        x = jax.random.randint(key, shape, 0, values).astype(jnp.uint8)
        if (start := self._start) is not None:
            x = jnp.asarray(start)
        return init_state(self.model, self.kernel, x, self.step_size)

    def step(
        self, key: Array, state: State, data: Any
    ) -> tuple[State, dict[str, Array]]:
        """Make one transition of a chain.

        Args:
            key: randomness of the transition.
            state: state of the previous step.
            data: None.

        Returns:
            The next state, and the row of ``emits``.
        """
        adapts = self.step_size is None
        return transition(self.model, self.kernel, key, state, self.warmup, adapts)

    def refresh(self, state: State, data: Any) -> State:
        """Evaluate log p and gains of a stored state anew.

        Args:
            state: after any step.
            data: None.

        Returns:
            The same state, with what it caches.
        """
        return refresh_state(self.kernel, state)

    def observe(self, state: State, data: Any) -> dict[str, Array]:
        """Pack the chain's state into bits.

        Args:
            state: at a stride.
            data: None.

        Returns:
            The variable of ``observes``.
        """
        return {"state": pack(target_chain(state.chain).x, self.model.values)}

    def headline(
        self, rows: xr.Dataset, observed: xr.Dataset | None = None
    ) -> Mapping[str, hs.Estimate]:
        """Estimate means and convergence, beside the exact energy if it is known.

        Args:
            rows: rows of the run so far, warm-up included.
            observed: states of the same steps; without them R-hat looks at rows only.

        Returns:
            Estimates by name; none while there are too few draws.
        """
        observed = observed if observed and observed.sizes["draw"] else None
        states = None if observed is None else self.states(observed)
        values = self.model.values
        result = estimates.headline(rows, self.warmup, self.starts, states, values)
        if not result or self.sampler == "kawasaki":  # which keeps to one sum
            return result
        return result | references(self.target, self.model_values)

    def tree(self, rows: xr.Dataset) -> Mapping[str, xr.Dataset]:
        """Group rows as ArviZ does: posterior, sample_stats, and both for the warm-up.

        Args:
            rows: all rows of a run, warm-up included.

        Returns:
            Datasets by the name of their group.
        """
        return estimates.groups(rows, self.warmup)

    def states(self, observed: xr.Dataset) -> xr.DataArray:
        """Unpack the observed states.

        Args:
            observed: ``run.observed``.

        Returns:
            States, uint8 with dims chain, draw and site.
        """
        packed = observed["state"]
        x = unpack(packed.values, self.model.sites, self.model.values)
        like = packed.isel(byte=0, drop=True).expand_dims(site=x.shape[-1], axis=-1)
        return like.copy(data=x)

    @property
    def field_values(self) -> dict[str, Any]:
        """Values of all fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def model_values(self) -> dict[str, Any]:
        """Values of all fields, with the numbers that the model is built from."""
        field: Any = self.field
        h = read_sites(field) if isinstance(field, str) else field
        return self.field_values | {"coupling": self._coupling, "field": h}

    @property
    def _coupling(self) -> float:
        """K: as given, else that of the lattices, or 1 for couplings of a file."""
        if self.coupling is not None:
            return self.coupling
        return COUPLING if self.couplings is None else 1.0

    @property
    def _start(self) -> UInt8[np.ndarray, " sites"] | None:
        """State of ``begin_at``, from which all chains start, if it is given."""
        if self.begin_at is None:
            return None
        return checked_state(self.model, read_sites(self.begin_at))


@lru_cache(maxsize=16)
def _model(task: Discrete, precision: Any) -> Target:
    """Build the target once per precision; tasks that travel to workers keep none."""
    if not isinstance(task.target, hs.Code):
        return build_target(task.target, task.model_values)
    density = load_density(hs.Code(task.target))
    if not isinstance(density, Target):
        return Target(density, task.size, task.values or 2)
    use = f"log densities: the Target of {task.target} knows its own"
    hs.check_used(task, {"size": (False, use), "values": (False, use)})
    return density


@lru_cache(maxsize=16)
def _kernel(task: Discrete, precision: Any) -> MarkovKernel:
    return build_kernel(task.sampler, _model(task, precision), task.field_values)
