"""Cost of the platform over the bare jitted loop, in five interleaved pairs.

    python benchmarks/overhead.py                 # both tasks
    python benchmarks/overhead.py --only lih

Bare: one process on one core, ``lax.scan`` over ``task.step`` with the same keys, rows
kept.  Platform: ``hs.run`` with one worker on Ray, commits on.  Both are timed from the
end of the first stride to the last step, so starting and compiling count for neither.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

import heliostat as hs


class Matrix(NamedTuple):
    a: jax.Array  # (n, n)


@dataclass(frozen=True)
class Millisecond(hs.Task):
    """One matrix product a step: about 1 ms on one core."""

    size: int = 420  # rows of the matrix
    emits = {"trace": hs.Var(), "norm": hs.Var()}
    stride = 100

    def init(self, key, replica, data):
        return Matrix(jax.random.normal(key, (self.size, self.size)))

    def step(self, key, state, data):
        a = state.a @ state.a + jax.random.normal(key, ())
        norm = jnp.linalg.norm(a)
        a = a * (self.size / norm)
        return Matrix(a), {"trace": jnp.trace(a), "norm": norm}


def task_named(name: str) -> tuple[hs.Task, int]:
    """A task, and the steps that are timed (behind one stride that is not)."""
    if name == "lih":
        from heliostat_tasks.vmc import VMC

        return VMC(molecule="LiH"), 200
    return Millisecond(), 10_000


def bare(name: str) -> float:
    """Milliseconds a step of the bare loop, in this process, on one core."""
    from heliostat.loop.keys import root_words, step_key
    from heliostat.system import device
    from heliostat.system.jit import jit

    device.configure_process(device.cores()[:1])
    task, steps = task_named(name)
    data, root = task.prepare(), root_words(0)

    def step(state, t):
        return task.step(step_key(root, 0, t), state, data)

    def advance(state, start, length):
        return jax.lax.scan(step, state, start + 1 + jnp.arange(length))

    advance = jit(advance, static_argnums=2, donate_argnums=0)
    state = jax.jit(lambda: task.init(step_key(root, 0, 0), jnp.int32(0), data))()
    state, _ = jax.block_until_ready(advance(state, 0, task.stride))
    copy = jax.tree.map(jnp.copy, state)
    jax.block_until_ready(advance(copy, task.stride, steps))  # compiles
    began = time.perf_counter()
    jax.block_until_ready(advance(state, task.stride, steps))
    return 1e3 * (time.perf_counter() - began) / steps


def platform(name: str) -> float:
    """The same of the same steps as a stored run, by the log's own clock."""
    task, steps = task_named(name)
    with tempfile.TemporaryDirectory() as store:
        until = task.stride + steps
        run = hs.run(task, steps=until, workers=1, store=store)
        times = [e["time"] for e in run.events() if e["event"] == "committed"]
    return 1e3 * (times[-1] - times[0]) / steps


def child(side: str, name: str) -> float:
    """One measurement in a process of its own, so that neither side warms the other."""
    words = [sys.executable, __file__, "--child", side, name]
    process = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return float(process.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["lih", "millisecond"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        side, name = args.child
        print({"bare": bare, "platform": platform}[side](name))
        return
    for name in [args.only] if args.only else ["millisecond", "lih"]:
        ratios = []
        for pair in range(args.pairs):
            plain, ours = child("bare", name), child("platform", name)
            ratios.append(ours / plain)
            line = f"bare {plain:.3g} ms a step, platform {ours:.3g} ms, "
            line += f"ratio {ratios[-1]:.3f}"
            print(f"{name} pair {pair + 1}: {line}", flush=True)
        middle = statistics.median(ratios)
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"{name}: platform / bare = {middle:.3f} (median; {spread})", flush=True)


if __name__ == "__main__":
    main()
