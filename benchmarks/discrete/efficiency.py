"""Effective samples of every sampler on every target

ESS: bulk, of all chains together; "least" of energy, order parameter and Hamming
distance to a fixed state.  A unit is one forward evaluation of log p for one chain;
value and gradient together are 3, gains in closed form 2.  Step sizes and radii follow
the acceptance in warm-up, half as long as the sampling, and are frozen after it.
Chains start at random; where R̂ is far from 1 they have not mixed, and ESS means
little.  "frozen": a statistic never varied in any chain."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from measure import Sampler, random_rbm, seconds, table

from heliostat.kernels import (
    block_gibbs,
    chromatic,
    curie_weiss,
    dmala,
    dula,
    ebm,
    erdos_renyi,
    fhmm,
    gibbs_with_gradients,
    hamming_ball,
    ising,
    locally_balanced,
    multi_flip,
    pairwise,
    path_auxiliary,
    potts,
    random_scan_gibbs,
    random_scan_metropolis,
)
from heliostat.kernels.discrete.chain import MarkovKernel
from heliostat.kernels.discrete.densities import residual_network, sine_observations
from heliostat.kernels.discrete.target import Target

COLUMNS = (
    *("sampler", "chains", "steps", "acceptance", "ESS energy", "ESS least", "of"),
    *("R̂", "ESS/1000 units", "ESS/s", "compile s", "warm-up s"),
)
LONGEST = 8
TURN = 0.25  # seconds of one sampler before the next has its turn
MOST = 8  # blocks in a turn

TARGETS: dict[str, Callable[[], Target]] = {
    "Ising 10 × 10, K = 0.2": lambda: ising(10, 0.2),
    "Ising 10 × 10, K = 0.4": lambda: ising(10, 0.4),
    "random graph, 100 spins of mean degree 4, J ~ N(0, 1/4)": lambda: pairwise(
        erdos_renyi(100, 4)
    ),
    "Potts 10 × 10, q = 3, K = 0.8": lambda: potts(10, 3, 0.8),
    "RBM 784 × 25, W ~ N(0, 0.05²), b ~ N(0, 1)": random_rbm,
    "factorial HMM, 30 times × 3 factors": lambda: fhmm(sine_observations(30, 3)),
    "Curie-Weiss, 100 spins, K = 0.4": lambda: curie_weiss(100, 0.4),
    "residual network, 64 bits, 32 features": lambda: ebm(
        residual_network(jax.random.key(0), 64)
    ),
}

SAMPLERS: dict[str, Callable[[Target], MarkovKernel]] = {
    "Gibbs-with-gradients": gibbs_with_gradients,
    "locally balanced": locally_balanced,
    "multi-flip": lambda target: multi_flip(target, longest=LONGEST),
    "path-auxiliary": lambda target: path_auxiliary(target, longest=LONGEST),
    "DMALA": dmala,
    "DULA, size 0.2 (biased)": dula,
    "random-scan Gibbs": random_scan_gibbs,
    "random-scan Metropolis": random_scan_metropolis,
    "Hamming ball": lambda target: hamming_ball(target, LONGEST),
    "chromatic Gibbs (sweeps)": chromatic,
    "block Gibbs (sweeps)": block_gibbs,
}


def units(name: str, target: Target) -> float:
    """Forward evaluations that one step of one chain is worth."""
    gains = 2 if target.exact else 3 if target.multilinear else _enumerated(target)
    if name == "locally balanced":
        return 1 + gains
    if name == "random-scan Gibbs":
        return target.values - 1
    if name == "random-scan Metropolis":
        return 1
    if name == "Hamming ball":
        return 1 + LONGEST * (target.values - 1)
    if name.startswith("chromatic"):
        return (max(target.colours or (0,)) + 1) * gains + 1
    return 3  # one value and gradient; block Gibbs: W twice, and log p


def _enumerated(target: Target) -> int:
    return target.sites * (target.values - 1) + 1


def samplers(target: Target, chains: int, block: int) -> dict[str, Sampler]:
    """Those that fit the target."""
    samplers = {}
    for name, build in SAMPLERS.items():
        size = 0.2 if "DULA" in name else 0.0  # it accepts all: nothing to follow
        try:
            kernel = build(target)
        except ValueError:  # no colours, or no RBM
            continue
        samplers[name] = Sampler(target, kernel, chains, block, size)
    return samplers


def report(quick: bool) -> None:
    chains, block, rounds, turn = (8, 20, 2, 0.01) if quick else (64, 200, 8, TURN)
    for title, build in list(TARGETS.items())[: 1 if quick else None]:
        target = build()
        running = samplers(target, chains, block)
        blocks = {}
        for name, sampler in running.items():
            took = seconds(lambda sampler=sampler: sampler.warm_up(1))
            blocks[name] = min(MOST, max(1, round(turn / took)))
            sampler.warm_up(blocks[name] * rounds // 2 - 1)
        for _ in range(rounds):
            for name, sampler in running.items():
                sampler.sample(blocks[name])
        print(title)
        table(COLUMNS, [row(n, s, target) for n, s in running.items()])
        print(flush=True)
        jax.clear_caches()


def row(name: str, sampler: Sampler, target: Target) -> list:
    result = sampler.result()
    least = result.least
    cost = units(name, target) * sampler.chains * sampler.steps
    return [
        *(name, sampler.chains, sampler.steps, f"{result.acceptance:.3f}"),
        *(float(result.diagnosis.ess_bulk[0]), least),
        "frozen" if math.isnan(least) else result.slowest,
        *(result.rhat, 1000 * least / cost, least / result.seconds),
        *(sampler.compile, sampler.warm),
    ]
