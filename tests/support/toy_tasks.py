"""Small tasks, each the minimum that exercises one part of the contract."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import heliostat as hs

WALK = "support.toy_tasks:Walk"
STROLL = "support.toy_tasks:Stroll"
HERE = ("--on", "here")
"""Options of a command line that runs in this process."""


class Position(NamedTuple):
    x: jax.Array  # ()
    drift: jax.Array  # (3,)


@dataclass(frozen=True)
class Walk(hs.Task):
    """Gaussian random walks, x(t) = x(t-1) + σ ε(t): independent replicas in blocks."""

    sigma: float = 1.0  # size of a step
    chains: int = 5  # how many walks
    emits = {"x": hs.Var(about="position", units="bohr"), "n": hs.Var(("d",), "int32")}
    observes = {"drift": hs.Var(("axis",), about="drift"), "far": hs.Var((), "bool")}
    width = 2
    stride = 10
    steps = 40
    replica_dim, step_dim = "chain", "draw"

    def __post_init__(self):
        if self.sigma <= 0:
            raise ValueError(f"sigma {self.sigma}: expected a positive number")

    @property
    def replicas(self):
        return self.chains

    def init(self, key, replica, data):
        return Position(jnp.zeros(()), jax.random.normal(key, (3,)))

    def step(self, key, state, data):
        x = state.x + self.sigma * jax.random.normal(key)
        drift = jnp.tanh(state.drift + x)
        return Position(x, drift), {"x": x, "n": jnp.arange(3, dtype=jnp.int32)}

    def observe(self, state, data):
        return {"drift": state.drift, "far": jnp.abs(state.x) > 3}

    def headline(self, rows):
        last = rows.x.isel(draw=-1).values.astype(float)
        return {"x": hs.Estimate(last.mean(), last.std() / len(last) ** 0.5, "bohr")}


@dataclass(frozen=True)
class Stroll(Walk):
    """The same walks in plain Python, few of them, so that many runs cost little."""

    chains: int = 2
    traced, steps = False, 20

    def init(self, key, replica, data):
        return 0.0

    def step(self, key, state, data):
        words = np.asarray(jax.random.key_data(key))
        x = state + self.sigma * float(np.random.default_rng(words).normal())
        return x, {"x": x, "n": [0, 1, 2]}

    def observe(self, state, data):
        return {"drift": [state, 0.0, -state], "far": abs(state) > 3}


@dataclass(frozen=True)
class Tuned(Walk):
    """Walks with a pull to the middle; runs with other values share one program."""

    pull: float | None = None  # share of x lost in a step
    far: int = 3  # distance beyond which a walk is far
    packable = ("sigma", "pull", "far")

    def canonical(self):
        return {"pull": 0.125 if self.pull is None else self.pull}

    @property
    def kept_share(self):
        return 1 - self.canonical()["pull"]

    def init(self, key, replica, data):
        return Position(self.sigma * jnp.ones(()), jax.random.normal(key, (3,)))

    def step(self, key, state, data):
        pulled = state._replace(x=self.kept_share * state.x)
        return super().step(key, pulled, data)

    def observe(self, state, data):
        return {"drift": state.drift, "far": jnp.abs(state.x) > self.far}


@dataclass(frozen=True)
class Spreading(Walk):
    """Walks with a headline that a goal can wait for."""

    finds = ("spread",)
    steps = 400

    def headline(self, rows):
        return {"spread": hs.Estimate(float(rows.x.std()), 0.1 * rows.sizes["draw"])}


@dataclass(frozen=True)
class Coded(hs.Task):
    """x(t) = f(x(t-1)), with a function f that the user wrote."""

    rule: hs.Code  # the function f
    emits = {"x": hs.Var()}
    stride = 5
    steps = 10

    def prepare(self):
        return jax.tree_util.Partial(self.rule.load())

    def init(self, key, replica, data):
        return (jnp.zeros(()),)

    def step(self, key, state, data):
        x = data(state[0])
        return (x,), {"x": x}


class Cloud(NamedTuple):
    points: jax.Array  # (points, 3), split over devices
    scale: jax.Array  # ()


@dataclass(frozen=True)
class Drift(hs.Task):
    """One replica of many sharded points, all coupled by each step."""

    points: int = 12  # points
    emits = {"mean": hs.Var(about="mean of all points"), "spread": hs.Var()}
    observes = {"points": hs.Var(("point", "axis"), about="all points")}
    stride = 5
    steps = 20
    sharded = ("points",)

    def init(self, key, replica, data):
        return Cloud(jax.random.normal(key, (self.points, 3)), jnp.ones(()))

    def step(self, key, state, data):
        noise = jax.random.normal(key, state.points.shape)
        points = 0.9 * state.points + 0.1 * state.scale * noise
        spread = jnp.sqrt(jnp.mean(points**2))
        row = {"mean": jnp.mean(points), "spread": spread}
        return Cloud(points, 0.5 * state.scale + spread), row

    def adopt(self, state, data):
        count = len(state.points)
        return state._replace(
            points=state.points[np.arange(self.points) * count // self.points]
        )

    def observe(self, state, data):
        return {"points": state.points}


@dataclass(frozen=True)
class Talk(hs.Task):
    """Conversations: async Python steps, JSON states, rows with text."""

    items: int = 3  # how many conversations
    emits = {
        "word": hs.Var(dtype="str", about="last word"),
        "length": hs.Var((), "int32"),
    }
    observes = {"last": hs.Var(dtype="str"), "lengths": hs.Var(("word",), "int64")}
    traced = False
    stride = 2
    steps = 4
    replica_dim, step_dim = "item", "turn"

    @property
    def replicas(self):
        return self.items

    def init(self, key, replica, data):
        return {"item": replica, "said": []}

    async def step(self, key, state, data):
        await asyncio.sleep(0)
        number = int(
            np.random.default_rng(np.asarray(jax.random.key_data(key))).integers(99)
        )
        word = f"{state['item']}:{number}"
        said = [*state["said"], word]
        return {**state, "said": said}, {"word": word, "length": len(said)}

    def observe(self, state, data):
        lengths = [len(word) for word in state["said"][-2:]]
        return {"last": state["said"][-1], "lengths": lengths}


@dataclass(frozen=True)
class Waits(hs.Task):
    """A task whose third step waits for a reply that does not come."""

    emits = {"t": hs.Var((), "int32")}
    traced, stride, steps = False, 1, 4

    def init(self, key, replica, data):
        return 0

    async def step(self, key, state, data):
        await asyncio.sleep(3600 if state == 2 else 0)
        return state + 1, {"t": state + 1}


@dataclass(frozen=True)
class Slow(hs.Task):
    """An untraced task that is slow enough to be interrupted."""

    pause: float = 0.02  # seconds that a step takes
    emits = {"t": hs.Var((), "int32")}
    traced = False
    stride = 5
    steps = 400

    def init(self, key, replica, data):
        return {"t": 0}

    def step(self, key, state, data):
        time.sleep(self.pause)
        return {"t": state["t"] + 1}, {"t": state["t"] + 1}


@dataclass(frozen=True)
class Raises(hs.Task):
    """A task with a mistake: one step raises."""

    at: int = 7  # the step that fails
    emits = {"t": hs.Var((), "int32")}
    traced = False
    stride = 2
    steps = 20

    def init(self, key, replica, data):
        return {"t": 0}

    def step(self, key, state, data):
        if state["t"] + 1 == self.at:
            raise ZeroDivisionError("the author's mistake")
        return {"t": state["t"] + 1}, {"t": state["t"] + 1}


@dataclass(frozen=True)
class Dies(Raises):
    """A task whose process dies at one step."""

    def step(self, key, state, data):
        if state["t"] + 1 == self.at:
            os._exit(1)
        return {"t": state["t"] + 1}, {"t": state["t"] + 1}


@dataclass(frozen=True)
class Moody(hs.Task):
    """A task that pauses at its third step until a file exists."""

    permit: str = ""  # path of the file that permits it
    chains: int = 2
    emits = {"n": hs.Var(dtype="int32", about="steps taken")}
    traced, stride, steps = False, 1, 4

    @property
    def replicas(self):
        return self.chains

    def init(self, key, replica, data):
        return 0

    async def step(self, key, state, data):
        if state == 2 and not os.path.exists(self.permit):
            raise hs.Paused("nobody permits it")
        return state + 1, {"n": state + 1}
