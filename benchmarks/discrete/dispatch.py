"""Many steps and chains in one program, against a dispatch per step

Gibbs-with-gradients on the 10 × 10 Ising lattice, K = 0.4.  All sides run the same
step in compiled programs; loops are Python's, and wait for the device at their end."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import jax
import numpy as np
from jax import Array
from measure import in_turn, seconds, table

from heliostat.kernels import gibbs_with_gradients, ising
from heliostat.system.jit import jit


def report(quick: bool) -> None:
    chains, rounds = (8, 3) if quick else (64, 7)
    scan, loop, batch = (50, 3, 20) if quick else (2000, 20, 500)  # steps
    target = ising(10, 0.4)
    kernel = gibbs_with_gradients(target)
    x = np.random.default_rng(0).integers(0, 2, (chains, target.sites), np.uint8)
    keys = jax.random.split(jax.random.key(0), chains)

    def step(key: Array, t: Array, chain):
        return kernel.step(jax.random.fold_in(key, t), chain)[0]

    def walk(key: Array, chain):
        body = lambda chain, t: (step(key, t, chain), chain.logp)  # noqa: E731
        return jax.lax.scan(body, chain, np.arange(scan))

    together = jit(jax.vmap(kernel.init))(x)
    alone = [jax.tree.map(lambda v, c=c: v[c], together) for c in range(chains)]
    each = list(keys)
    programs = {
        "scan": jit(jax.vmap(walk)),
        "one": jit(step),
        "all": jit(jax.vmap(step, (0, None, 0))),
    }
    times = np.arange(max(loop, batch), dtype=np.int32)

    def one_by_one():
        states = list(alone)
        for t in times[:loop]:
            for c in range(chains):
                states[c] = programs["one"](each[c], t, states[c])
        return states

    def step_by_step():
        states = together
        for t in times[:batch]:
            states = programs["all"](keys, t, states)
        return states

    show(
        {
            "steps and chains in one program": lambda: programs["scan"](keys, together),
            "a dispatch per step": step_by_step,
            "a dispatch per step and chain": one_by_one,
        },
        [scan * chains, batch * chains, loop * chains],
        rounds,
    )


def show(calls: dict[str, Callable], steps: list[int], rounds: int) -> None:
    """A row for each, by the nanoseconds that a step of one chain takes."""
    first = {name: seconds(call) for name, call in calls.items()}
    times = in_turn(calls, rounds)
    each = {n: np.array(times[n]) / s for n, s in zip(calls, steps, strict=True)}
    ours = next(iter(each.values()))
    rows = []
    for (name, t), count in zip(each.items(), steps, strict=True):
        again = statistics.median(t / ours)
        rows.append([name, count, 1e6 * statistics.median(t), again, first[name]])
    table(("", "steps timed", "µs a step", "time, ours = 1", "first call s"), rows)
