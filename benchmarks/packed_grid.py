"""Cost of a packed grid of 1,000 cells over its bare work, storage included.

    python benchmarks/packed_grid.py                      # a toy, and bilevel
    python benchmarks/packed_grid.py --only toy --cells 200 --steps 1000

Bare is one cell's loop, compiled and stepped, with nothing stored; its compile plus
1,000 times its steps is what the grid is held against.  Packed is one pack from
nothing, on the same core: identities, compile, commits and headlines included.  After
each commit the bare loop is timed once, so that whatever else the machine does slows
both; that time is not the pack's.  Beside it a few of the cells as runs of their own,
and what 1,000 would take.  Each side has a process of its own, and finds no compiled
program on disk.  What a cell costs beyond its steps (identity, digests, share of
commits, headline) does not depend on how many they are: it is printed, too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

import heliostat as hs
from heliostat import config
from heliostat.driver import packs
from heliostat.driver.placement import Placement, chunks
from heliostat.driver.progress import silent
from heliostat.loop.keys import root_words, step_key
from heliostat.system import device
from heliostat.system.jit import jit

ALONE = 5
"""Cells that are run by themselves."""


class Point(NamedTuple):
    x: jax.Array  # (64,)


@dataclass(frozen=True)
class Relaxation(hs.Task):
    """Noisy descent in 64 dimensions, at a rate and a temperature."""

    rate: float = 0.1  # of descent
    temperature: float = 1.0  # of the noise
    packable = ("rate", "temperature")
    emits = {"energy": hs.Var(), "distance": hs.Var()}
    stride = 100

    def init(self, key, replica, data):
        return Point(jax.random.normal(key, (64,)))

    def step(self, key, state, data):
        noise = jax.random.normal(key, (64,))
        pull = jnp.tanh(state.x) + jnp.roll(state.x, 1) - state.x
        x = state.x - self.rate * pull + jnp.sqrt(self.rate * self.temperature) * noise
        return Point(x), {"energy": jnp.mean(x**2), "distance": jnp.abs(x).max()}

    def headline(self, rows):
        values = rows.energy.values[len(rows.energy) // 2 :]
        return {"energy": hs.Estimate(float(values.mean()))}


STEPS = {"toy": 10_000, "bilevel": 3000}
"""About 50 ms of one core."""


def grid(name: str, cells: int) -> list[hs.Task]:
    """Return the tasks of a grid over two traced fields."""
    side = max(1, round(cells**0.5))
    pairs = itertools.islice(itertools.product(range(side + 1), repeat=2), cells)
    shares = [(a / (side + 1), b / (side + 1)) for a, b in pairs]
    if name == "toy":
        return [Relaxation(0.01 + 0.1 * a, 0.1 + b) for a, b in shares]
    from heliostat_tasks.bilevel import Bilevel

    rates = [(0.02 + 0.1 * a, 0.1 + 0.7 * b) for a, b in shares]
    fields = {"problem": "quadratic", "inits": 1}
    return [Bilevel(outer_lr=a, inner_lr=b, **fields) for a, b in rates]


class Bare:
    """One cell's loop, and the seconds it takes to compile and, each time, to step."""

    def __init__(self, task: hs.Task, steps: int) -> None:
        root, self.data = root_words(0), task.prepare()

        def loop(data):
            def step(state, t):
                return task.step(step_key(root, 0, t), state, data)

            start = task.init(step_key(root, 0, 0), jnp.int32(0), data)
            return jax.lax.scan(step, start, 1 + jnp.arange(steps))

        began = time.perf_counter()
        self._program = jit(loop).lower(self.data).compile()
        self.compile = time.perf_counter() - began
        self.times: list[float] = []

    def beside(self, job, place, tell, goal):
        """The chunks of a job; after each the loop is stepped once."""
        for chunk in chunks(job, place, tell, goal):
            yield chunk
            began = time.perf_counter()
            jax.block_until_ready(self._program(self.data))
            self.times.append(time.perf_counter() - began)


def packed(name: str, cells: int, steps: int) -> dict[str, float]:
    """Seconds for the whole grid as one pack, from nothing to its headline."""
    device.configure_process(device.cores()[:1])
    tasks = grid(name, cells)
    bare, began = Bare(tasks[0], steps), time.perf_counter()
    with tempfile.TemporaryDirectory() as store:
        specs = [packs.CellSpec(task, config.specify(task)) for task in tasks]
        runs = packs.ensure_pack(
            specs, steps, Placement("here"), store, source=bare.beside
        )
        took = time.perf_counter() - began - sum(bare.times)
        assert {run.status for run in runs} == {"complete"}
        folder = runs[0].record.folder
        files = [file for file in folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
    work = {"compile": bare.compile, "work": sum(bare.times) / len(bare.times)}
    return work | {"took": took, "files": len(files), "MB": size / 1e6}


def alone(name: str, cells: int, steps: int) -> dict[str, float]:
    """Seconds that a few cells take as runs of their own, one after another."""
    tasks, began = grid(name, cells), time.perf_counter()
    with tempfile.TemporaryDirectory() as store:
        for task in tasks[:ALONE]:
            options = {"on": "here", "store": store, "progress": silent}
            hs.run(task, steps=steps, **options)
    return {"each": (time.perf_counter() - began) / ALONE}


def child(side: str, name: str, cells: int, steps: int) -> dict[str, float]:
    """One side in a process of its own, that finds no compiled program."""
    words = [sys.executable, __file__, "--child", side, "--only", name]
    with tempfile.TemporaryDirectory() as cache:
        process = subprocess.run(
            [*words, "--cells", str(cells), "--steps", str(steps)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "HELIOSTAT_CACHE": cache},
        )
    return json.loads(process.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["toy", "bilevel"])
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        side = {"packed": packed, "alone": alone}[args.child]
        print(json.dumps(side(args.only, args.cells, args.steps)))
        return
    for name in [args.only] if args.only else ["toy", "bilevel"]:
        report(name, args.cells, args.steps or STEPS[name])


def report(name: str, cells: int, steps: int) -> None:
    many, each = (child(side, name, cells, steps) for side in ("packed", "alone"))
    work = many["compile"] + cells * many["work"]
    more = 1e3 * (many["took"] - work) / cells
    print(f"{name}: {cells} cells of {steps} steps")
    note = f"{1e3 * many['work']:.1f} ms a cell"
    print(f"  bare      compile {many['compile']:.1f} s, {note}")
    print(f"  packed    {many['took']:.1f} s for all, of {work:.1f} s bare")
    print(f"  ratio     {many['took'] / work:.2f}; {more:.1f} ms more for each cell")
    print(f"  stored    {many['files']} files, {many['MB']:.0f} MB")
    note = f"{cells * each['each']:.0f} s for all (from {ALONE} of them)"
    print(f"  unpacked  {each['each']:.2f} s each, {note}", flush=True)


if __name__ == "__main__":
    main()
