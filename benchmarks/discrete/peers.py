"""An RBM of 784 visible and 25 hidden units, against DiscreteHMCGibbs of NumPyro

Both sample the same weights.  NumPyro's visible units are a plate of Bernoulli sites
with log-odds b, its softplus terms a factor; one of its draws updates all 784 in random
order, and a dummy normal site takes one leapfrog step, as the kernel wants a continuous
one.  Its kernel is scanned and batched as ours are; of two schemes and several numbers
of chains the best ESS/s counts.  ESS is the least of energy, order parameter (mean bit)
and Hamming distance to a fixed state."""

from __future__ import annotations

import statistics
import time
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from measure import Result, Sampler, random_rbm, statistics_of, table

from heliostat.kernels import block_gibbs, dmala, gibbs_with_gradients, path_auxiliary
from heliostat.kernels.diagnostics.convergence import summary
from heliostat.kernels.discrete.target import Target
from heliostat.system.jit import jit

LONGEST = 8


class Peer:
    """NumPyro's kernel, scanned and batched as ours are.

    Its own driver compiles anew each time that it resumes, and would be timed so.
    """

    def __init__(self, target: Target, chains: int, draws: int, modified: bool):
        from numpyro.infer import HMC, DiscreteHMCGibbs

        inner = HMC(model_of(target), trajectory_length=None, num_steps=1)
        kernel = DiscreteHMCGibbs(inner, modified=modified)
        self.rows, self.times, measure = [], [], float_statistics(target)

        def begin(key: Array):
            return kernel.init(key, draws, None, (), {})

        def draw(state, _):
            state = kernel.sample(state, (), {})
            return state, measure(state.z["v"])

        def advance(state):
            return jax.lax.scan(draw, state, None, length=draws)

        began = time.perf_counter()
        keys = jax.random.split(jax.random.key(0), chains)
        self.state = jax.vmap(begin)(keys)
        self.program = jit(jax.vmap(advance)).lower(self.state).compile()
        self.state, _ = jax.block_until_ready(self.program(self.state))
        self.first = time.perf_counter() - began

    def sample(self) -> None:
        began = time.perf_counter()
        self.state, rows = jax.block_until_ready(self.program(self.state))
        self.times.append(time.perf_counter() - began)
        self.rows.append(np.asarray(rows))

    def result(self) -> Result:
        rows = np.concatenate(self.rows, 1)
        elapsed = statistics.median(self.times) * len(self.times)
        return Result(summary(rows), float("nan"), elapsed)

    @property
    def steps(self) -> int:
        return sum(rows.shape[1] for rows in self.rows)


def model_of(target: Target):
    """The RBM in NumPyro's words."""
    import numpyro
    import numpyro.distributions as dist

    w, b, c = (jnp.asarray(v, jnp.float32) for v in target.weights)

    def model():
        numpyro.sample("dummy", dist.Normal())
        with numpyro.plate("units", len(b)):
            v = numpyro.sample("v", dist.Bernoulli(logits=b))
        numpyro.factor("hidden", jnp.sum(jax.nn.softplus(c + v @ w)))

    return model


def rhat_of(result: Result) -> float | str:
    """One chain alone has nothing to agree with."""
    return "" if np.isnan(result.rhat) else result.rhat


def float_statistics(target: Target):
    """A state (D,) -> the three statistics."""
    measure = statistics_of(target)
    return lambda x: measure(x.astype(jnp.uint8), target.logp(x.astype(float)))


def ours(target: Target, chains: tuple[int, ...], block: int) -> dict[str, Sampler]:
    kernels = {
        "Gibbs-with-gradients": gibbs_with_gradients(target),
        "path-auxiliary": path_auxiliary(target, longest=LONGEST),
        "DMALA": dmala(target),
        "block Gibbs": block_gibbs(target),
    }
    return {
        f"heliostat, {name} × {n}": Sampler(target, kernel, n, block)
        for name, kernel in kernels.items()
        for n in chains
    }


def theirs(target: Target, chains: tuple[int, ...], draws: int) -> dict[str, Peer]:
    warnings.filterwarnings("ignore", module="numpyro")
    schemes = {"": False, " modified": True}
    return {
        f"NumPyro{name} × {n}": Peer(target, n, draws, modified)
        for name, modified in schemes.items()
        for n in chains
    }


def report(quick: bool) -> None:
    try:
        import numpyro  # noqa: F401
    except ImportError:
        print("needs NumPyro: pip install heliostat[bench]")
        return
    rounds, draws, block = (2, 5, 50) if quick else (5, 50, 1000)
    target = random_rbm()
    peers = theirs(target, (4,) if quick else (1, 4, 16, 64), draws)
    samplers = ours(target, (4,) if quick else (16,), block)
    for sampler in samplers.values():
        sampler.warm_up(1 if quick else 5)
    for _ in range(rounds):
        for peer in peers.values():
            peer.sample()
        for sampler in samplers.values():
            sampler.sample()
    first = {n: s.first for n, s in peers.items()}
    first |= {n: s.compile + s.warm for n, s in samplers.items()}
    show({**peers, **samplers}, first)


def show(running: dict[str, Any], first: dict[str, float]) -> None:
    results = {name: peer.result() for name, peer in running.items()}
    rates = {name: result.least / result.seconds for name, result in results.items()}
    best = max((n for n in rates if n.startswith("NumPyro")), key=rates.__getitem__)
    rows = []
    for name, result in results.items():
        mean, error = result.diagnosis.mean[0], result.diagnosis.mcse[0]
        apart = (mean - results[best].diagnosis.mean[0]) / np.hypot(
            error, results[best].diagnosis.mcse[0]
        )
        rows.append(
            [
                *(
                    name,
                    running[name].steps,
                    result.least,
                    result.slowest,
                    rhat_of(result),
                ),
                *(rates[name], rates[name] / rates[best]),
                *(f"{mean:.5f} ± {error:.5f}", f"{apart:+.1f}", first[name]),
            ]
        )
    columns = (
        "kernel × chains",
        "draws",
        "ESS least",
        "of",
        "R̂",
        "ESS/s",
        "best NumPyro = 1",
    )
    table((*columns, "energy per site", "σ from it", "compile + warm-up s"), rows)
