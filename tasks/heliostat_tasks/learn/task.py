"""Couplings and energies from data, by persistent contrastive divergence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import heliostat as hs
from heliostat.kernels.discrete.adaptation import OPTIMAL_ACCEPTANCE
from heliostat.kernels.discrete.annealing import draw_product, log_z0
from heliostat.kernels.discrete.chain import Kernel, Sizes
from heliostat.kernels.discrete.proposals import informed
from heliostat.kernels.discrete.target import Target
from heliostat.kernels.vmc.sharding import replicate
from heliostat_tasks.learn import estimates
from heliostat_tasks.learn.data import Data, States, prepared, states_of
from heliostat_tasks.learn.evaluation import (
    Particles,
    Schedule,
    advance,
    bounds,
    start_pass,
    walk,
)
from heliostat_tasks.learn.models import DensityFamily, Pairwise, Params, Residual
from heliostat_tasks.learn.updates import Learner, init_learner, learning_rate, update
from heliostat_tasks.learn.validate import check

if TYPE_CHECKING:
    import xarray as xr

MOVES = {"gwg": "single", "path": "path", "dmala": "factorised"}

GAIN = 0.1
"""Change of log step size per step and unit of acceptance off its goal."""

SHOWN = 16
"""Persistent chains that are observed."""


class State(NamedTuple):
    """Persistent chains, what they teach, and a pass of annealing."""

    step: Array  # () int32, steps taken
    buffer: Array  # (batch, slots, D) uint8
    learner: Learner
    size: Array  # () the sampler's step size or radius
    forward: Particles
    backward: Particles
    log_p: Array  # (2,) unnormalised, means of training and test set


@dataclass(frozen=True)
class Learn(hs.Task):
    """A density that data were drawn from: log p = f_θ − log Z, by following

        ∇ log-likelihood = ⟨∂f_θ⟩_data − ⟨∂f_θ⟩_model

    with model averages from chains that persist from step to step.  A step moves
    ``batch`` of the ``buffer`` chains by ``moves`` informed moves, puts them back and
    updates θ.  After ``train`` steps the averaged θ is frozen, and ``evaluate`` steps
    bring particles through all ``temperatures``, from both sides of log Z.

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
    data_seed: int = 0  # of these states
    features: int = 64  # width of the network
    blocks: int = 2  # residual blocks of the network
    buffer: int = 256  # persistent chains
    batch: int = 256  # of them moved each step
    moves: int = 40  # informed moves each step
    sampler: Literal["gwg", "path", "dmala"] = "gwg"  # how they are made
    longest: int = 8  # most sites of a path
    train: int = 1000  # steps that learn; later ones only evaluate
    lr: float = 0.01  # learning rate of Adam
    warmup: int = 20  # steps in which it rises
    decay: float = 0.5  # last share of training, in which it falls
    l1: float | None = None  # penalty on couplings; default 0.03, of Potts 0.015
    ema: float = 0.98  # memory of the averaged parameters; 0 is none
    evaluate: int = 40  # steps of a pass of annealing; 0 is none
    temperatures: int = 8000  # of a pass
    particles: int = 128  # annealed in each direction
    settle: int = 1000  # moves of persistent chains before they are annealed

    sharded = ("buffer", "forward", "backward")
    finds = estimates.FINDS
    emits = {
        "loss": hs.Var(about="mean energy of the data minus the model's"),
        "rmse": hs.Var(about="RMS of couplings minus the true ones (else minus 0)"),
        "log_p_train": hs.Var(about="mean log p of training states, not normalised"),
        "log_p_test": hs.Var(about="mean log p of test states, not normalised"),
        "acceptance": hs.Var(about="probability that a move was accepted"),
        "proposal": hs.Var(about="step size or radius of a move"),
        "gradient": hs.Var(about="length of the gradient"),
        "nonfinite": hs.Var(dtype="int32", about="chains whose log p is not finite"),
        "skipped": hs.Var(dtype="int32", about="updates skipped as not finite"),
        "baseline": hs.Var(units="nat", about="test log-likelihood, independent sites"),
        "beta": hs.Var(about="inverse temperature that a pass has come to"),
        "log_z": hs.Var(units="nat", about="log Z, Bennett"),
        "log_z_error": hs.Var(units="nat", about="standard error of it"),
        "log_z_lower": hs.Var(units="nat", about="log Z, annealed forwards"),
        "log_z_lower_error": hs.Var(units="nat", about="standard error of it"),
        "log_z_upper": hs.Var(units="nat", about="log Z, annealed backwards"),
        "log_z_upper_error": hs.Var(units="nat", about="standard error of it"),
    }
    observes = {
        "weights": hs.Var(("site", "unit"), about="couplings, or the first layer"),
        "samples": hs.Var(("sample", "site"), "uint8", about="persistent chains"),
        "forward": hs.Var(("particle",), units="nat", about="log-weights forwards"),
        "backward": hs.Var(("particle",), units="nat", about="log-weights backwards"),
    }

    def __post_init__(self) -> None:
        check(self)

    @property
    def steps(self) -> int:
        """Training, and one pass of annealing."""
        return max(1, self.train + self.evaluate)

    @property
    def stride(self) -> int:
        return int(np.clip(self.train // 50, 10, 200))

    @property
    def values(self) -> int:
        """Of a site."""
        return self.q if self.model == "potts" else 2

    @property
    def penalty(self) -> float:
        """λ of the pairwise couplings' norms, nats per unit."""
        default = 0.015 if self.model == "potts" else 0.03
        return default if self.l1 is None else self.l1

    @cached_property
    def states(self) -> States:
        """What is learned from, on the host."""
        return states_of(self)

    @cached_property
    def learned(self) -> DensityFamily:
        """The family of densities that the fields describe."""
        lattice = self.data is None and self.model != "ebm"
        sites = self.size**2 if lattice else self.states.train.shape[1]
        if self.model == "ebm":
            return Residual(sites, self.features, self.blocks)
        return Pairwise(sites, self.values)

    def canonical(self) -> dict[str, Any]:
        """A penalty that was left to its default is that number."""
        return {} if self.model == "ebm" else {"l1": self.penalty}

    def prepare(self) -> Data:
        return prepared(self.states, self.learned)

    def init(self, key: Array, replica: Array, data: Data) -> State:
        weighing, drawing = jax.random.split(key)
        base = jnp.asarray(data.base, float)
        keys = jax.random.split(drawing, (self.batch, self.buffer // self.batch))
        buffer = jax.vmap(jax.vmap(draw_product, (0, None)), (0, None))(keys, base)
        nobody = Particles(
            jnp.zeros((self.particles, self.learned.sites), jnp.uint8),
            jnp.zeros(self.particles),
        )
        return State(
            step=jnp.zeros((), jnp.int32),
            buffer=buffer,
            learner=init_learner(self.learned.start(weighing, base)),
            size=jnp.asarray(self._sizes.start if self._sizes else 1.0, float),
            forward=nobody,
            backward=nobody,
            log_p=jnp.zeros(2),
        )

    def step(self, key: Array, state: State, data: Data) -> tuple[State, dict]:
        state = state._replace(step=state.step + 1)
        training = state.step <= self.train
        return jax.lax.cond(training, self._learn, self._judge, key, state, data)

    def observe(self, state: State, data: Data) -> dict[str, Array]:
        shown = state.buffer.reshape(-1, self.learned.sites)[:SHOWN]
        return {
            "weights": self.learned.picture(state.learner.averaged),
            "samples": shown,
            "forward": state.forward.weight,
            "backward": state.backward.weight,
        }

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        return estimates.headline(rows, self)

    def sampler_of(self, target: Target) -> Kernel:
        """What moves chains of a density."""
        longest = min(self.longest, target.sites) if self.sampler == "path" else 1
        differences = "taylor" if target.exact is None else "exact"
        moves: Any = MOVES[self.sampler]
        return informed(target, "sqrt", differences, moves, longest)

    @property
    def _sizes(self) -> Sizes | None:
        """The range of the sampler's step size, which no density decides."""
        any_density = Target(jnp.sum, self.learned.sites, self.values)
        return self.sampler_of(any_density).sizes

    def _learn(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        """One update of θ from what the data and the chains say."""
        moving, seeing, testing = jax.random.split(key, 3)
        params = state.learner.params
        state, x, row = self._move(moving, state, params)
        given, seen = self._seen(seeing, data, 0), self.learned.summary(x)

        def likelihood(params: Params) -> tuple[Array, Array]:
            there = self.learned.mean(params, given)
            return there - self.learned.mean(params, seen), there

        ascent = jax.value_and_grad(likelihood, has_aux=True)
        (gap, train), gradient = ascent(params)
        rate = learning_rate(state.step, self.train, self.lr, self.warmup, self.decay)
        learner, told = update(state.learner, gradient, rate, self.penalty, self.ema)
        test = self.learned.mean(params, self._seen(testing, data, 1))
        state = state._replace(
            learner=learner,
            size=self._adapted(state.size, row["acceptance"]),
            log_p=jnp.stack([train, test]),
        )
        row |= {"loss": -gap, "gradient": told.gradient, "skipped": told.skipped}
        none = jnp.zeros(self.particles)
        row |= bounds(none, none, log_z0(jnp.asarray(data.base, float)))
        return state, row | self._told(state, data, jnp.zeros(()))

    def _judge(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        """A piece of a pass of annealing, at the averaged θ; chains go on moving."""
        moving, annealing = jax.random.split(key)
        params = state.learner.averaged
        state, x, row = self._move(moving, state, params)
        pieces = max(self.evaluate, 1)
        piece = (state.step - self.train - 1) % pieces
        state = jax.lax.cond(
            piece == 0,
            self._begin_pass,
            lambda key, state, data: state,
            key,
            state,
            data,
        )
        beta = jnp.zeros(())
        if self.evaluate:
            state = self._anneal(annealing, state, data, piece)
            beta = (piece + 1.0) / pieces
        gap = state.log_p[0] - self.learned.mean(params, self.learned.summary(x))
        row |= {
            "loss": -gap,
            "gradient": jnp.zeros(()),
            "skipped": jnp.zeros((), jnp.int32),
        }
        weights = (state.forward.weight, state.backward.weight)
        row |= bounds(*weights, log_z0(jnp.asarray(data.base, float)))
        return state, row | self._told(state, data, beta)

    def _seen(self, key: Array, data: Data, which: int) -> Any:
        """What a step sees of the training (0) or test set (1): moments, or a batch."""
        if self.learned.linear:
            return data.moments[which]
        x = (data.train, data.test)[which]
        return x[jax.random.randint(key, (min(self.batch, len(x)),), 0, len(x))]

    def _move(
        self, key: Array, state: State, params: Params
    ) -> tuple[State, Array, dict[str, Array]]:
        """One chain out of each row of the buffer, moved on and put back.

        So a batch is drawn without replacement, and rows never meet: they may live on
        different devices.  What they teach is gathered, a few bytes per chain, so that
        every layout sums it in the same order.
        """
        choosing, moving = jax.random.split(key)
        batch, slots = state.buffer.shape[:2]
        slot = jax.random.randint(choosing, (batch,), 0, slots)
        x = jax.vmap(lambda row, k: row[k])(state.buffer, slot)
        kernel = self.sampler_of(self.learned.target(params))
        x, accepted, log_p = walk(kernel, moving, x, state.size, self.moves)
        put = jax.vmap(lambda row, k, new: row.at[k].set(new))
        accepted, log_p = replicate(jnp.stack([accepted, log_p]))
        row = {
            "acceptance": jnp.mean(accepted),
            "proposal": state.size,
            "nonfinite": jnp.sum(~jnp.isfinite(log_p), dtype=jnp.int32),
        }
        return state._replace(buffer=put(state.buffer, slot, x)), replicate(x), row

    def _begin_pass(self, key: Array, state: State, data: Data) -> State:
        """Particles at the ends of the path, and the frozen model's mean log p."""
        params, model = state.learner.averaged, self.learned
        sets = data.moments if model.linear else (data.train, data.test)
        log_p = jnp.stack([model.mean(params, seen) for seen in sets])
        state = state._replace(log_p=log_p)
        if not self.evaluate:
            return state
        kernel = self.sampler_of(model.target(params))
        chains = state.buffer.reshape(-1, model.sites)
        base = jnp.asarray(data.base, float)
        forward, backward = start_pass(
            kernel, key, chains, base, self.particles, state.size, self.settle
        )
        return state._replace(forward=forward, backward=backward)

    def _anneal(self, key: Array, state: State, data: Data, piece: Array) -> State:
        """Both directions, a piece of the schedule further."""
        kernel = self.sampler_of(self.learned.target(state.learner.averaged))
        betas = Schedule(self.temperatures, self.evaluate).betas(piece)
        base = jnp.asarray(data.base, float)
        both = (state.forward, state.backward)
        forward, backward = advance(kernel, key, both, betas, base, state.size)
        return state._replace(forward=forward, backward=backward)

    def _told(self, state: State, data: Data, beta: Array) -> dict[str, Array]:
        """What is told alike in training and after it."""
        found = self.learned.couplings(state.learner.averaged)
        return {
            "rmse": jnp.sqrt(jnp.mean((found - data.truth) ** 2)),
            "log_p_train": state.log_p[0],
            "log_p_test": state.log_p[1],
            "baseline": jnp.asarray(data.baseline, float),
            "beta": beta,
        }

    def _adapted(self, size: Array, acceptance: Array) -> Array:
        """The step size after one more look at the acceptance, in training only."""
        sizes = self._sizes
        if sizes is None:
            return size
        changed = size * jnp.exp(GAIN * (acceptance - OPTIMAL_ACCEPTANCE))
        return jnp.clip(changed, sizes.low, sizes.high)
