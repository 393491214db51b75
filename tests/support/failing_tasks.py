"""Tasks that fail on demand; the first is best where it fails."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from support import toy_tasks

import heliostat as hs


def permitted(a: float) -> bool:
    """Return True if the third step is permitted; a test replaces this."""
    return True


@dataclass(frozen=True)
class Midway(hs.Task):
    """loss = u - a, with a number u in [0, spread) that follows from the seed."""

    a: float = 1.0  # the larger, the better
    spread: float = 0.0  # of u
    bad: float = 2.0  # the third step fails for a beyond it
    lucky: float = 0.0  # the third step fails for u below it, too
    unknown: float = 9.0  # the loss is NaN for a beyond it
    emits = {"loss": hs.Var(dtype="float64", units="s")}
    finds = ("loss",)
    traced, stride, steps = False, 1, 5

    def init(self, key, replica, data):
        words = np.asarray(jax.random.key_data(key))
        return {"t": 0, "u": self.spread * float(np.random.default_rng(words).random())}

    async def step(self, key, state, data):
        t, u = state["t"] + 1, state["u"]
        if t == 3 and (self.a > self.bad or u < self.lucky):
            raise ValueError(f"no a = {self.a}")
        if t == 3 and not permitted(self.a):
            raise hs.Paused("not permitted")
        loss = np.nan if self.a > self.unknown else u - self.a
        return {"t": t, "u": u}, {"loss": loss}

    def headline(self, rows):
        return {"loss": hs.Estimate(float(rows.loss.isel(step=-1)), units="s")}


@dataclass(frozen=True)
class Flaky(hs.Task):
    """A task that fails a given number of times."""

    fails: int = 2  # number of failures
    tries: str = ""  # prefix of the files in which tries are counted
    emits = {"t": hs.Var((), "int32")}
    traced, stride, steps = False, 1, 2

    def init(self, key, replica, data):
        return 0

    def step(self, key, state, data):
        with open(f"{self.tries}{self.fails}", "a+") as file:
            file.write(".")
            tries = file.tell()
        if tries <= self.fails:
            raise OSError(f"try {tries} failed")
        return state + 1, {"t": state + 1}


@dataclass(frozen=True)
class Divides(toy_tasks.Stroll):
    """A task whose headline raises."""

    def headline(self, rows):
        return {"x": hs.Estimate(1 / 0)}


@dataclass(frozen=True)
class Mixed(toy_tasks.Stroll):
    """A task with two good entries and some that are no estimates."""

    def headline(self, rows):
        good = {"mean": hs.Estimate(rows.x.mean()), "last": hs.Estimate(1, np.ones(()))}
        return good | {"number": 0.5, "none": None, "all": hs.Estimate(rows.x)}


@dataclass(frozen=True)
class Silent(toy_tasks.Stroll):
    """A task without a headline of its own."""

    headline = hs.Task.headline


@dataclass(frozen=True)
class Late(toy_tasks.Stroll):
    """A task whose headline needs more rows."""

    warmup: int = 500  # steps

    def headline(self, rows):
        return {}


def sweep_here(store, over, task=None, **options):
    """Run a sweep in this process, of the first task by default."""
    return hs.sweep(task or Midway(), over=over, store=store, on="here", **options)
