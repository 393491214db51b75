"""Checkerboard flips per nanosecond

Chromatic Gibbs on 64 × 64 Ising lattices, K = 0.4; each site is one attempt a sweep.
The last two lines are limits, not of this machine and not measured in this run."""

from __future__ import annotations

import statistics

import jax
import numpy as np
from measure import in_turn, ratio, seconds, table

from heliostat.kernels import chromatic, ising
from heliostat.system.jit import jit

SIZE, COUPLING = 64, 0.4
LIMITS = (
    ("bit-sliced C, 512 lattices, one AVX-512 core of an EPYC: not this machine", 5.7),
    ("NVIDIA/ising-gpu, one H100: half of the two-GPU figure of its README", 900.0),
)


def ours(chains: int, sweeps: int):
    kernel = chromatic(ising(SIZE, COUPLING))

    def walk(key, x):
        def body(t, chain):
            return kernel.step(jax.random.fold_in(key, t), chain)[0]

        return jax.lax.fori_loop(0, sweeps, body, kernel.init(x)).x

    keys = jax.random.split(jax.random.key(0), chains)
    shape = (chains, SIZE**2)
    x = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
    program = jit(jax.vmap(walk))
    return lambda: program(keys, x)


def numpys(chains: int, sweeps: int):
    """The same sweeps in plain NumPy, in float32."""
    draw = np.random.default_rng(0)
    board = np.indices((SIZE, SIZE)).sum(0) % 2

    def run():
        s = draw.choice(np.float32([-1, 1]), (chains, SIZE, SIZE))
        for _ in range(sweeps):
            for colour in (0, 1):
                around = sum(np.roll(s, by, axis) for by in (1, -1) for axis in (1, 2))
                up = 1 / (1 + np.exp(np.float32(-2 * COUPLING) * around))
                new = np.where(draw.random(s.shape, np.float32) < up, 1, -1)
                s = np.where(board == colour, new.astype(np.float32), s)
        return s

    return run


def report(quick: bool) -> None:
    sweeps, rounds = (2, 3) if quick else (50, 5)
    counts = (4, 16) if quick else (1, 16, 64, 256)
    calls = {f"heliostat, {n} lattices": ours(n, sweeps) for n in counts}
    plain = f"NumPy, {counts[1]} lattices"
    calls[plain] = numpys(counts[1], sweeps)
    first = {name: seconds(call) for name, call in calls.items()}
    times = in_turn(calls, rounds)
    rows = []
    for (name, elapsed), n in zip(times.items(), (*counts, counts[1]), strict=True):
        attempts = n * sweeps * SIZE**2
        rate = attempts / statistics.median(elapsed) / 1e9
        again = ratio(times[plain], elapsed) * n / counts[1]
        rows.append([name, rate, again, first[name]])
    rows += [[name, rate, "", ""] for name, rate in LIMITS]
    table(("", "attempts/ns", "NumPy = 1", "first call s"), rows)
