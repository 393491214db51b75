"""Cost of reading: a packed sweep beside plain zarr, and a store of many runs.

    python benchmarks/reading.py                       # 2,000 cells, 1,500 runs
    python benchmarks/reading.py --cells 200 --runs 100

Three figures, all in CPU time of this process, since the machine may be busy:

* the mean over a packed sweep by ``sweep.dataset``, labels included, over the same mean
  by zarr alone, which opens the record of the pack and knows no labels;
* the same sweep once more, over its computation;
* the table of a store of ordinary runs, the first time in this process and again.

The first two compare two things in turn in one process and print the ratio of medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import zarr

import heliostat as hs
from heliostat.system import device

STEPS = 100
REPEATS = 5


@dataclass(frozen=True)
class Descent(hs.Task):
    """Noisy descent in one dimension, at a rate and a temperature."""

    rate: float = 0.1  # of descent
    temperature: float = 1.0  # of the noise
    packable = ("rate", "temperature")
    emits = {"energy": hs.Var(), "x": hs.Var()}
    stride = 100

    def init(self, key, replica, data):
        return (jax.random.normal(key),)

    def step(self, key, state, data):
        noise = (2 * self.rate * self.temperature) ** 0.5 * jax.random.normal(key)
        x = state[0] - self.rate * state[0] + noise
        return (x,), {"energy": x**2 / 2, "x": x}

    def headline(self, rows):
        values = rows.energy.values[len(rows.energy) // 2 :]
        return {"energy": hs.Estimate(float(values.mean()))}


@dataclass(frozen=True)
class Sums(hs.Task):
    """Sums of uniform numbers, in Python: a run without compilation."""

    scale: float = 1.0  # of the numbers
    emits = {"sum": hs.Var()}
    traced, stride, steps = False, 5, 5

    def init(self, key, replica, data):
        return 0.0

    def step(self, key, state, data):
        number = self.scale * (int(np.asarray(jax.random.key_data(key))[1]) / 2**32)
        return state + number, {"sum": state + number}

    def headline(self, rows):
        return {"sum": hs.Estimate(float(rows["sum"][-1]))}


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of a call, and its result."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def grid(cells: int, store: Path) -> Any:
    side = max(1, round(cells**0.5 / 10) * 10)
    over = {
        "rate": np.linspace(0.01, 0.2, side).tolist(),
        "temperature": np.linspace(0.1, 2.0, -(-cells // side)).tolist(),
    }
    return hs.sweep(Descent(), over=over, steps=STEPS, on="here", store=store)


def plain_mean(record: Path) -> float:
    """Return the mean that zarr computes without heliostat."""
    return float(zarr.open_group(record, mode="r")["rows/energy"][:].mean())


def report_sweep(cells: int, store: Path) -> None:
    """Print the cost of asking for a sweep again, and of a mean over its rows."""
    computing, sweep = cpu(lambda: grid(cells, store))
    record = next(store.glob("*/packs/*/record.zarr"))
    plain, dataset, again = [], [], []
    for _ in range(REPEATS):
        seconds, stored = cpu(lambda: grid(cells, store))
        again.append(seconds)
        seconds, expected = cpu(lambda: plain_mean(record))
        plain.append(seconds)
        seconds, mean = cpu(lambda s=stored: float(s.dataset.energy.mean()))
        dataset.append(seconds)
        np.testing.assert_allclose(mean, expected, rtol=1e-5)
    alone, labelled, asked = map(statistics.median, (plain, dataset, again))
    print(f"{len(sweep.cells)} cells of {STEPS} steps in one pack")
    print(f"  mean      {labelled:.3f} s, by zarr alone {alone:.3f} s")
    print(f"  ratio     {labelled / alone:.2f}")
    print(f"  again     {asked:.2f} s, computing {computing:.2f} s")
    print(f"  ratio     {asked / computing:.2f}", flush=True)


def report_runs(count: int, store: Path) -> None:
    """Print the cost of the table of a store of runs, which differ in their seeds."""
    for seed in range(count):
        hs.run(Sums(), seed=seed, on="here", store=store, progress=False)
        if (seed + 1) % 100 == 0:
            print(f"  {seed + 1} of {count} runs", file=sys.stderr, flush=True)
    first, table = cpu(lambda: hs.runs(store=store))
    again, _ = cpu(lambda: hs.runs(store=store))
    assert len(table) == count and set(table.status) == {"complete"}
    print(f"{count} ordinary runs listed in {first:.2f} s, again in {again:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=1500)
    args = parser.parse_args()
    device.configure_process(device.cores()[:1])
    with tempfile.TemporaryDirectory() as folder:
        if args.cells:
            report_sweep(args.cells, Path(folder) / "sweep")
        if args.runs:
            report_runs(args.runs, Path(folder) / "runs")


if __name__ == "__main__":
    main()
