"""A task whose best rate falls during a run, and populations of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import heliostat as hs


@dataclass(frozen=True)
class Cooling(hs.Task):
    """e' = (1 - rate) e + rate²/10: large rates are good at first, small ones later."""

    rate: float = 0.1  # of descent
    emits = {"e": hs.Var()}
    finds = ("e",)
    traced, stride, steps = False, 5, 60

    def init(self, key, replica, data):
        return 1.0

    def step(self, key, state, data):
        e = (1 - self.rate) * state + self.rate**2 / 10
        return e, {"e": e}

    def headline(self, rows):
        return {"e": hs.Estimate(float(rows.e.isel(step=-1)))}


RATES = hs.Range(0.001, 1.0, log=True)


def breed(store, trials=4, task=None, **options):
    """Run a population, of the cooling task by default."""
    defaults = {"over": {"rate": RATES}, "search": "random", "metric": "e"}
    defaults |= {"on": "here", "steps": 25, "scheduler": "pbt"}
    return hs.sweep(task or Cooling(), trials=trials, store=store, **defaults | options)


def _events(store):
    files = list(store.glob("sweeps/*/events.jsonl"))
    lines = files[0].read_text().splitlines()[:-1] if files else []
    return [json.loads(line)["event"] for line in lines]


def killed(store, ended):
    """Run a population and kill its driver once so many segments have ended.

    Returns:
        The number of segments that have ended.
    """
    code = f"from support.cooling_task import breed; breed({str(store)!r})"
    path = os.pathsep.join((str(Path(__file__).parents[1]), *sys.path))
    driver = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}
    )
    while _events(store).count("done") < ended and driver.poll() is None:
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    return _events(store).count("done")
