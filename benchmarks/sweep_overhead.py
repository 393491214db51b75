"""Cost of a sweep besides the work of its trials, against plain Ray Tune.

    python benchmarks/sweep_overhead.py                # 200 cells, one after the other
    python benchmarks/sweep_overhead.py --cells 40

A trial is 20 steps that wait 2 ms each; after every five of them it reports (Tune), or
commits (heliostat, whose rows, states and digests are kept).  Both get two workers on a
Ray of their own.  Overhead is what the whole takes, without the start of Ray and beyond
the steps of all trials on two workers.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray

import heliostat as hs

WORKERS, STEPS, STRIDE, PAUSE = 2, 20, 5, 0.002


@dataclass(frozen=True)
class Wait(hs.Task):
    """Steps that take a known time."""

    rate: float = 0.0  # what is swept
    emits = {"value": hs.Var()}
    traced = False
    stride, steps = STRIDE, STEPS

    def init(self, key, replica, data):
        return 0.0

    def step(self, key, state, data):
        time.sleep(PAUSE)
        return state + self.rate, {"value": state + self.rate}


def trainable(config: dict[str, float]) -> None:
    """The same trial as users of Ray Tune write it."""
    from ray import tune

    value = 0.0
    for step in range(1, STEPS + 1):
        time.sleep(PAUSE)
        value += config["rate"]
        if step % STRIDE == 0:
            tune.report({"value": value, "step": step})


def tuned(cells: int, folder: Path) -> None:
    from ray import tune

    space = {"rate": tune.grid_search([float(i) for i in range(cells)])}
    run = tune.RunConfig(storage_path=str(folder), verbose=0)
    results = tune.Tuner(trainable, param_space=space, run_config=run).fit()
    assert len(results) == cells and not results.errors


def swept(cells: int, folder: Path) -> None:
    over = {"rate": [float(i) for i in range(cells)]}
    sweep = hs.sweep(Wait(), over=over, store=folder, workers=WORKERS, gpus=0)
    assert sweep.states == {"done": cells}


@contextmanager
def ray_of_two():
    ray.init(
        address="local",
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()


def overhead(run: Callable[[int, Path], None], cells: int) -> float:
    """Seconds that a sweep takes beyond the steps of its trials."""
    with tempfile.TemporaryDirectory() as folder, ray_of_two():
        began = time.perf_counter()
        run(cells, Path(folder))
        took = time.perf_counter() - began
    return took - cells * STEPS * PAUSE / WORKERS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200)
    cells = parser.parse_args().cells
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    tune, own = overhead(tuned, cells), overhead(swept, cells)
    for name, took in (("Ray Tune", tune), ("heliostat", own)):
        each = 1e3 * took / cells
        print(f"{name:10} {took:7.1f} s overhead, {each:6.0f} ms a cell")
    print(f"ratio      {own / tune:7.2f}  (1/3 at most is what the project promises)")


if __name__ == "__main__":
    main()
