"""A task that fails where one wants it to, and is best where it fails."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

import heliostat as hs


def permitted(a: float) -> bool:
    """Whether the third step may be taken: always, but where a test says otherwise."""
    return True


@dataclass(frozen=True)
class Midway(hs.Task):
    """loss = u - a, with a number u in [0, spread) that follows from the seed."""

    a: float = 1.0  # the larger, the better
    spread: float = 0.0  # of u
    bad: float = 2.0  # for a beyond it, the third step fails
    lucky: float = 0.0  # for u below it, the third step fails, too
    unknown: float = 9.0  # for a beyond it, the loss is no number
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
            raise hs.Paused("nobody permits it")
        loss = np.nan if self.a > self.unknown else u - self.a
        return {"t": t, "u": u}, {"loss": loss}

    def headline(self, rows):
        return {"loss": hs.Estimate(float(rows.loss.isel(step=-1)), units="s")}


@dataclass(frozen=True)
class Flaky(hs.Task):
    """Fails as often as it says, and then does not."""

    fails: int = 2  # how often
    tries: str = ""  # the folder of files in which tries are counted
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


def here(store, over, task=None, **options):
    return hs.sweep(task or Midway(), over=over, store=store, on="here", **options)
