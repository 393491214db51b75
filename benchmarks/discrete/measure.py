"""Chains, clocks and tables that the parts share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from heliostat.kernels.diagnostics.convergence import ConvergenceSummary, summary
from heliostat.kernels.discrete.adaptation import (
    SizeAdaptation,
    adapt_size,
    freeze_size,
    init_adaptation,
)
from heliostat.kernels.discrete.chain import MarkovKernel, Sizes
from heliostat.kernels.discrete.densities import rbm
from heliostat.kernels.discrete.target import Target, relaxed
from heliostat.system.jit import jit

STATISTICS = ("energy", "order", "distance")
"""−log p, the order parameter without its sign, and Hamming distance to a fixed state:
chosen before anything was measured."""

UNSIZED = Sizes(1.0, 1.0, 1.0)


# -- clocks --------------------------------------------------------------------------


def seconds(call: Callable[[], Any]) -> float:
    """Time a call until its arrays are computed."""
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


def in_turn(
    calls: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each call in each round: A B C, A B C, …"""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return times


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """The median over rounds of how many times longer one took than the other."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


# -- tables --------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns, the first one to the left."""
    cells = [list(columns), *([_cell(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        parts = [row[0].ljust(widths[0])]
        parts += [v.rjust(w) for v, w in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(parts).rstrip(), flush=True)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if not np.isfinite(value):
        return "frozen"  # the diagnostics' NaN: it never varied
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


# -- targets -------------------------------------------------------------------------


def random_rbm(visible: int = 784, hidden: int = 25, seed: int = 0) -> Target:
    """Weights normal of standard deviation 0.05, visible biases of 1, no hidden ones:
    as the random RBM of the public code of arXiv:2102.04509, on 28 × 28 bits."""
    draw = np.random.default_rng(seed)
    weights = 0.05 * draw.normal(size=(visible, hidden))
    return rbm(weights, draw.normal(size=visible), np.zeros(hidden))


def statistics_of(target: Target) -> Callable[[Array, Array], Array]:
    """(x, log p) -> (3,) the numbers that stand for a state."""
    far = np.random.default_rng(1).integers(0, target.values, target.sites, np.uint8)

    def order(x: Array) -> Array:
        if target.order is None:
            return jnp.mean(x.astype(float))
        return jnp.abs(target.order(relaxed(target, x)))

    def measure(x: Array, logp: Array) -> Array:
        distance = jnp.sum(x != far).astype(float)
        return jnp.stack([-logp / target.sites, order(x), distance])

    return measure


# -- chains --------------------------------------------------------------------------


class Walk(NamedTuple):
    """One chain on its way; in a program, many."""

    chain: Any
    search: SizeAdaptation
    time: Array  # () int32


class Sampler:
    """A kernel on many chains: two compiled programs, and their rows so far."""

    def __init__(
        self,
        target: Target,
        kernel: MarkovKernel,
        chains: int,
        block: int,
        size: float = 0.0,
    ):
        """A ``size`` other than 0 is fixed; else the kernel's own is adapted."""
        self.chains, self.block = chains, block
        self.sizes = None if size else kernel.sizes
        self.rows: list[np.ndarray] = []
        self.times: list[float] = []
        self.warm = 0.0
        keys = jax.random.split(jax.random.key(0), chains)
        fixed = UNSIZED._replace(start=size or 1.0)
        measure = statistics_of(target)

        def begin(key: Array) -> Walk:
            x = jax.random.randint(key, (target.sites,), 0, target.values)
            chain = kernel.init(x.astype(jnp.uint8))
            return Walk(chain, init_adaptation(self.sizes or fixed), jnp.int32(0))

        def step(key: Array, warming: Array, walk: Walk, _: None) -> tuple[Walk, Array]:
            key = jax.random.fold_in(key, walk.time)
            chain, info = kernel.step(key, walk.chain, walk.search.size)
            search = walk.search
            if self.sizes:
                new = adapt_size(search, info.acceptance, self.sizes)
                search = jax.tree.map(partial(jnp.where, warming), new, search)
            row = jnp.append(measure(chain.x, chain.logp), info.acceptance)
            return Walk(chain, search, walk.time + 1), row

        def advance(key: Array, walk: Walk, warming: Array) -> tuple[Walk, Array]:
            body = partial(step, key, warming)
            return jax.lax.scan(body, walk, None, length=block)

        program = jit(jax.vmap(advance, (0, 0, None)))
        self.walk = jit(jax.vmap(begin))(keys)
        began = time.perf_counter()
        program = program.lower(keys, self.walk, True).compile()
        self.compile = time.perf_counter() - began
        self._advance = partial(program, keys)

    def warm_up(self, blocks: int) -> None:
        """Adapt the step size, then freeze it."""
        began = time.perf_counter()
        for _ in range(blocks):
            self.walk, _rows = self._advance(self.walk, jnp.asarray(True))
        jax.block_until_ready(self.walk)
        self.warm += time.perf_counter() - began
        if self.sizes:
            self.walk = self.walk._replace(search=freeze_size(self.walk.search))

    def sample(self, blocks: int = 1) -> None:
        """Draw and keep rows; only the drawing is timed."""
        began, parts = time.perf_counter(), []
        for _ in range(blocks):
            self.walk, rows = self._advance(self.walk, jnp.asarray(False))
            parts.append(rows)
        jax.block_until_ready(parts)
        self.times.append(time.perf_counter() - began)
        self.rows += [np.asarray(rows) for rows in parts]

    def result(self) -> Result:
        rows = np.concatenate(self.rows, 1)
        elapsed = statistics.median(self.times) * len(self.times)
        return Result(summary(rows[..., :3]), float(rows[..., 3].mean()), elapsed)

    @property
    def steps(self) -> int:
        return sum(rows.shape[1] for rows in self.rows)


class Result(NamedTuple):
    """Diagnosis of a sampler's draws, its acceptance, and its time."""

    diagnosis: ConvergenceSummary  # of the three statistics
    acceptance: float
    seconds: float

    @property
    def least(self) -> float:
        """The smallest of the effective sample sizes; NaN if a statistic is frozen."""
        return float(np.min(self.diagnosis.ess_bulk))

    @property
    def slowest(self) -> str:
        return STATISTICS[int(np.argmin(self.diagnosis.ess_bulk))]

    @property
    def rhat(self) -> float:
        return float(np.max(self.diagnosis.rhat))
