"""Mistakes in a task's methods: one line, before the first step, with the line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.loop.run import Loop
from heliostat.loop.work import Span


class One(NamedTuple):
    x: jax.Array


class Two(NamedTuple):
    x: jax.Array
    y: jax.Array


@dataclass(frozen=True)
class Mistaken(hs.Task):
    """A task with a mistake in a method; the mistakes are below."""

    mistake: str = "none"
    chains: int = 1
    emits = {"x": hs.Var()}

    @property
    def replicas(self):
        return self.chains

    @property
    def width(self):
        return self.chains

    def init(self, key, replica, data):
        if self.mistake == "counts" and replica > 1:
            return One(jnp.ones(3))
        return One(jnp.zeros(3))

    def step(self, key, state, data):
        return MISTAKES[self.mistake](state.x)

    def observe(self, state, data):
        return {"y": float(state.x[0])}


def grows(x):
    return One(jnp.concatenate([x, x])), {"x": x[0]}


def branches(x):
    if x[0] > 0:
        x = -x
    return One(x), {"x": x[0]}


MISTAKES = {
    "none": lambda x: (One(x), {"x": x[0]}),
    "counts": lambda x: (One(x), {"x": x[0]}),
    "grows": grows,
    "casts": lambda x: (One(x > 0), {"x": x[0]}),
    "adds": lambda x: (Two(x, x), {"x": x[0]}),
    "loses": lambda x: (One(None), {"x": x[0]}),
    "forgets": lambda x: One(x),
    "swaps": lambda x: ({"x": x[0]}, One(x)),
    "branches": branches,
    "indexes": lambda x: (One(x), {"x": [0.0, 1.0][x[0].astype(int)]}),
    "masks": lambda x: (One(x), {"x": x[x > 0].sum()}),
    "numpy": lambda x: (One(x), {"x": np.sin(x).sum()}),
    "floats": lambda x: (One(x), {"x": float(x[0])}),
    "spells": lambda x: (One(x), {"x": "abc"}),
    "omits": lambda x: (One(x), {"x": None}),
}

LINE = r" \(test_mistakes.py:\d+: .+\)"
HEAD = r" \(test_mistakes.py:\d+: def step\(self, key, state, data\):\)"


@pytest.mark.parametrize("chains", [1, 2])
@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        (
            "grows",
            r"step returns x float32\[6\], init gave float32\[3\] .*concatenate.*",
        ),
        ("casts", r"step returns x bool\[3\], init gave float32\[3\]" + LINE),
        ("adds", "step returns a Two with x, y, init gave a One with x" + HEAD),
        ("loses", "step returns a One, init gave a One with x" + HEAD),
        ("forgets", "step returns One, expected a state and a dict, the row" + HEAD),
        ("swaps", r"step returns \(dict, One\), expected a state and a dict.*" + HEAD),
        ("branches", r"step: a Python branch .* write jnp.where.*: if x\[0\] > 0:\)"),
        ("indexes", r"step: a Python branch or index .* jnp.take.*" + LINE),
        ("masks", r"step: x\[mask\] has a length .*" + LINE),
        ("numpy", r"step: NumPy cannot compute .* jnp in place of np.*" + LINE),
        ("floats", r"step: float\(\), int\(\) or .item\(\) .*" + LINE),
        ("spells", "step returns x of type str, expected an array.*" + LINE),
        ("omits", "step returns x of type NoneType, expected an array.*" + LINE),
        ("counts", r"init: a Python branch .*: if self.mistake == .*"),
    ],
)
def test_what_jax_cannot_take_is_refused_with_the_line_of_the_task(
    mistake, chains, line
):
    loop = Loop(Mistaken(mistake, chains), 0)
    with pytest.raises(hs.RequestError) as error:
        loop.compile(with_init=False)
    assert re.fullmatch(f"Mistaken: {line}", str(error.value))


def test_a_method_that_is_missing_is_refused():
    with pytest.raises(hs.RequestError, match="Task must define init"):
        Loop(hs.Task(), 0).compile()


def test_a_task_that_exits_fails_and_ends_no_process(tmp_path):
    class Exiting(Untraced):
        def step(self, key, state, data):
            raise SystemExit(3)

    with pytest.raises(RuntimeError, match=r"the task ends the process, exit\(3\)"):
        hs.run(Exiting("later"), on="here", store=tmp_path, progress=False)


def test_observe_is_refused_as_step_is():
    class Observed(Mistaken):
        observes = {"y": hs.Var()}

    with pytest.raises(
        hs.RequestError, match=r"^Observed: observe: float\(\), .*\[0\]"
    ):
        Loop(Observed(), 0).compile(with_init=False)


@dataclass(frozen=True)
class Untraced(hs.Task):
    """An untraced task whose state has a part that JSON does not keep."""

    part: str = "tuple"
    emits = {"x": hs.Var()}
    traced, stride, steps = False, 2, 4

    def init(self, key, replica, data):
        return PARTS[self.part]

    def step(self, key, state, data):
        return {"a": Two(1, 2)} if self.part == "later" else state, {"x": 1.0}


PARTS = {
    "tuple": (1, 2),
    "named": One(3),
    "array": {"a": [np.zeros(2)]},
    "number": [np.int64(1)],
    "key": {"a": {1: 2}},
    "later": {"a": [None, True, 1, 2.5, "text", float("nan"), np.float64(3)]},
}


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("tuple", "state is of type tuple, which does not come back from JSON"),
        ("named", r"state is of type One, .*; write state._asdict\(\)$"),
        ("array", r"state\['a'\]\[0\] is of type ndarray"),
        ("number", r"state\[0\] is of type int64"),
        ("key", r"a key of state\['a'\] is of type int"),
        ("later", r"state\['a'\] is of type Two"),
    ],
)
def test_a_state_that_json_changes_is_refused_before_it_is_stored(part, line):
    loop = Loop(Untraced(part), 0)
    loop.compile()
    with pytest.raises(hs.RequestError, match=f"^Untraced: {line}"):
        loop.next_chunk(loop.seek(Span(0, 0, 4)), strides=1, until=4)


def test_a_refused_task_leaves_nothing_in_the_store(tmp_path):
    for task in (Mistaken("grows"), Untraced()):
        with pytest.raises(hs.RequestError):
            hs.run(task, on="here", store=tmp_path, progress=False)
    assert not any(tmp_path.rglob("*.json"))


def test_a_pair_of_a_python_step_is_checked_too(tmp_path):
    class Alone(toy_tasks.Talk):
        def step(self, key, state, data):
            return {"word": "a", "length": 1}

    with pytest.raises(hs.RequestError, match=r"^Alone: step returns dict, expected"):
        hs.run(Alone(), on="here", store=tmp_path, progress=False)


def test_a_state_is_checked_after_one_step_of_an_untraced_task(tmp_path):
    taken = []

    class Named(toy_tasks.Talk):
        def step(self, key, state, data):
            taken.append(state)
            return One(3), {"word": "a", "length": 1}

    with pytest.raises(hs.RequestError, match=r"^Named: state is of type One"):
        hs.run(Named(items=1), on="here", store=tmp_path, progress=False)
    assert len(taken) == 1
