"""Task ``learn``: couplings and energies by persistent contrastive divergence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import heliostat as hs
from heliostat.kernels.discrete.annealing import draw_product
from heliostat.kernels.discrete.chain import MarkovKernel
from heliostat.kernels.discrete.target import Target
from heliostat_tasks.learn import estimates, measures
from heliostat_tasks.learn.annealing import AnnealingPlan, no_particles
from heliostat_tasks.learn.chains import ChainSampler, SamplerName
from heliostat_tasks.learn.data import Data, States, digits, lattice, prepare, read
from heliostat_tasks.learn.evaluation import evaluation_step
from heliostat_tasks.learn.models import DensityFamily, Pairwise, Residual
from heliostat_tasks.learn.state import State
from heliostat_tasks.learn.training import TrainingPlan, training_step
from heliostat_tasks.learn.updates import init_learner
from heliostat_tasks.learn.validate import check_fields, uses

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Learn(hs.Task):
    """A density log p = f_θ − log Z, learned from data along the gradient

        ∇ log-likelihood = ⟨∂f_θ⟩_data − ⟨∂f_θ⟩_model,

    where chains that persist from step to step give the averages over the model. A step
    moves ``batch`` of the ``buffer`` chains by ``moves`` informed moves, puts them back
    and updates θ. After ``train`` steps the averaged θ is frozen. Then ``evaluate``
    steps anneal particles through all ``temperatures`` and bound log Z on both sides.

    Raises:
        ValueError: for fields that make no sense, in one line.

    Example:
        >>> Learn(size=4).learned.sites
        16

    Reference: Grathwohl et al., arXiv:2102.04509; Tieleman, ICML 2008.
    """

    model: Literal["ising", "potts", "ebm"] = "ising"  # what is learned
    data: hs.File | None = None  # .npy, .npz, .amat or .mat; default lattice or digits
    test: hs.File | None = None  # held-out states; default those of data, or a fifth
    size: int = 10  # side of the lattice that states are drawn from
    coupling: float = 0.2  # K = J / kT of its edges, each counted once
    q: int = 3  # values of a Potts site
    samples: int = 2000  # states drawn from it to learn from
    data_seed: int = 0  # seed of these states
    features: int = 64  # width of the network
    blocks: int = 2  # residual blocks of the network
    buffer: int = 256  # persistent chains
    batch: int = 256  # persistent chains moved each step
    moves: int = 40  # informed moves each step
    sampler: SamplerName = "gwg"  # sampler of these moves
    longest: int = 8  # most sites of a path
    train: int = 1000  # steps that learn; later ones only evaluate
    lr: float = 0.01  # learning rate of Adam
    warmup: int = 20  # steps in which the rate rises
    decay: float = 0.5  # last share of training, in which the rate falls
    l1: float | None = None  # penalty on couplings; default 0.03, of Potts 0.015
    ema: float = 0.98  # memory of the averaged parameters; 0 is none
    evaluate: int = 40  # steps of a pass of annealing; 0 is none
    temperatures: int = 8000  # temperatures of a pass
    particles: int = 128  # particles annealed in each direction
    settle: int = 1000  # moves of persistent chains before they are annealed

    sharded = ("buffer", "forward", "backward")
    emits = measures.EMITS
    observes = measures.OBSERVES

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        check_fields(values | {"l1": self.penalty})
        hs.check_used(self, uses(values))

    @property
    def finds(self) -> tuple[str, ...]:
        """Names of the estimates in a headline."""
        known = estimates.coupling_names(self.model == "ising")
        likelihoods = estimates.LIKELIHOODS if self.evaluate else ()
        return (*(known if self._on_lattice else ()), "loss", *likelihoods)

    @property
    def steps(self) -> int:
        """Training steps and those of one pass of annealing."""
        return max(1, self.train + self.evaluate)

    @property
    def stride(self) -> int:
        """A fiftieth of training, between 10 and 200 steps."""
        return int(np.clip(self.train // 50, 10, 200))

    @property
    def values(self) -> int:
        """Number of values of a site."""
        return self.q if self.model == "potts" else 2

    @property
    def penalty(self) -> float:
        """λ of the pairwise couplings' norms, nats per unit."""
        default = 0.015 if self.model == "potts" else 0.03
        return default if self.l1 is None else self.l1

    @cached_property
    def states(self) -> States:
        """Training and test states: from files, digits or a lattice.

        Raises:
            heliostat.RequestError: for a file without states.
        """
        if self.data is not None:
            return read(self.data, self.test, self.values)
        if self.model == "ebm":
            return digits()
        lattice_fields = (self.size, self.values, self.coupling)
        return lattice(*lattice_fields, self.samples, self.data_seed)

    @cached_property
    def learned(self) -> DensityFamily:
        """Family of densities that the fields describe."""
        sites = self.size**2 if self._on_lattice else self.states.train.shape[1]
        if self.model == "ebm":
            return Residual(sites, self.features, self.blocks)
        return Pairwise(sites, self.values)

    def canonical(self) -> dict[str, Any]:
        """Return the penalty as a number, also where it was None."""
        return {} if self.model == "ebm" else {"l1": self.penalty}

    def prepare(self) -> Data:
        """Return the states with their moments and the base of annealing."""
        return prepare(self.states, self.learned)

    def init(self, key: Array, replica: Array, data: Data) -> State:
        """Draw persistent chains from independent sites, and the first parameters.

        Args:
            key: randomness of the start.
            replica: () int32, always 0.
            data: result of :meth:`prepare`.

        Returns:
            The state before the first step.
        """
        params_key, chains_key = jax.random.split(key)
        base = jnp.asarray(data.base, float)
        keys = jax.random.split(chains_key, (self.batch, self.buffer // self.batch))
        buffer = jax.vmap(jax.vmap(draw_product, (0, None)), (0, None))(keys, base)
        sizes = self._sampler.sizes(self.learned.sites, self.values)
        none = no_particles(self.particles, self.learned.sites)
        return State(
            step=jnp.zeros((), jnp.int32),
            buffer=buffer,
            learner=init_learner(self.learned.start(params_key, base)),
            size=jnp.asarray(sizes.start if sizes else 1.0, float),
            forward=none,
            backward=none,
            log_p=jnp.zeros(2),
        )

    def step(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        """Train, or anneal one piece further once training is over.

        Args:
            key: randomness of the step.
            state: state of the previous step.
            data: result of :meth:`prepare`.

        Returns:
            The next state, and the row of ``emits``.
        """
        state = state._replace(step=state.step + 1)
        model, sampler = self.learned, self._sampler
        train = partial(training_step, model, sampler, self._training)
        evaluate = partial(evaluation_step, model, sampler, self._annealing, self.train)
        return jax.lax.cond(state.step <= self.train, train, evaluate, key, state, data)

    def observe(self, state: State, data: Data) -> dict[str, Array]:
        """Return the averaged weights, some chains, and the particles' log-weights.

        Args:
            state: at a stride.
            data: result of :meth:`prepare`.

        Returns:
            The variables of ``observes``.
        """
        chains = state.buffer.reshape(-1, self.learned.sites)
        return {
            "weights": self.learned.picture(state.learner.averaged),
            "samples": chains[: measures.SHOWN],
            "forward": state.forward.weight,
            "backward": state.backward.weight,
        }

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        """Estimate the error of couplings, the loss, and the test likelihood.

        Args:
            rows: rows of the run so far.

        Returns:
            Estimates by name; likelihoods after the first complete pass.
        """
        errors = {}
        if self._on_lattice:
            ising = self.model == "ising"
            errors = estimates.coupling_errors(rows, self.samples, ising)
        site = "pixels" if self.model == "ebm" else "sites"
        return estimates.headline(rows, errors, site)

    def sampler_of(self, target: Target) -> MarkovKernel:
        """Return the sampler that moves chains of a density.

        Args:
            target: the density.

        Returns:
            An informed sampler.
        """
        return self._sampler.kernel(target)

    @property
    def _on_lattice(self) -> bool:
        """True if the states are drawn from a lattice, whose couplings are known."""
        return self.data is None and self.model != "ebm"

    @property
    def _sampler(self) -> ChainSampler:
        return ChainSampler(self.sampler, self.longest, self.moves)

    @property
    def _training(self) -> TrainingPlan:
        rate = (self.train, self.lr, self.warmup, self.decay)
        return TrainingPlan(self.batch, *rate, self.penalty, self.ema)

    @property
    def _annealing(self) -> AnnealingPlan:
        steps = (self.temperatures, self.evaluate)
        return AnnealingPlan(*steps, self.particles, self.settle)
