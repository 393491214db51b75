"""The law suite accepts lawful tasks and catches each way of breaking a law."""

from __future__ import annotations

import copy
import itertools
import pickle
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat import laws
from heliostat.answer import format_estimate
from heliostat.cli.format import laws_answer
from heliostat.laws import loop


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [toy_tasks.Walk(), toy_tasks.Drift(), toy_tasks.Talk(), toy_tasks.Tuned()],
    ids=repr,
)
def test_lawful_tasks_pass_every_law(task, fleet_ray):
    results = hs.check_task(task, workers=(2,))
    assert {law: reason for law, reason in results.items() if reason} == {}
    assert "workers do not matter" in results


@dataclass(frozen=True)
class WrongName(toy_tasks.Walk):
    emits = {"y": hs.Var()}


@dataclass(frozen=True)
class WrongType(toy_tasks.Walk):
    emits = {"x": hs.Var((), "int32"), "n": hs.Var(("d",), "int32")}


@dataclass(frozen=True)
class WrongDims(toy_tasks.Walk):
    emits = {"x": hs.Var(("d",)), "n": hs.Var(("d",), "int32")}


@dataclass(frozen=True)
class WrongObserved(toy_tasks.Walk):
    """Its observations are right; ``observes`` declares other ones."""

    observes = {"far": hs.Var((), "bool")}


@pytest.mark.parametrize("task", [WrongName(), WrongType(), WrongDims()])
def test_rows_that_do_not_match_emits_are_named(task):
    reason = laws.check_task(task, workers=())["rows match emits"]
    assert reason and ("emits" in reason)


def test_observations_must_match_observes():
    reason = laws.check_task(WrongObserved(), workers=())["rows match emits"]
    assert reason and "observe returns ['drift', 'far'], observes has" in reason


@dataclass(frozen=True)
class Baked(toy_tasks.Tuned):
    """Its step reads a number computed from the field when the task was made."""

    def __post_init__(self):
        object.__setattr__(self, "size", 2 * self.sigma)

    def step(self, key, state, data):
        state, row = super().step(key, state, data)
        return state._replace(x=self.size * state.x), row


@dataclass(frozen=True)
class Prepared(toy_tasks.Tuned):
    """Its data depend on the field."""

    def prepare(self):
        return self.sigma * np.ones(3)


@pytest.mark.slow
def test_packable_fields_that_are_not_traced_are_found():
    results = laws.check_task(Baked(), workers=())
    assert (
        "differ in the stride to 10" in results["a packed cell equals the single run"]
    )
    assert results["prepared data do not depend on packable fields"] is None
    results = laws.check_task(Prepared(), workers=())
    assert (
        "prepare depends on one of sigma"
        in results["prepared data do not depend on packable fields"]
    )


counter = itertools.count()


@dataclass(frozen=True)
class Impure(toy_tasks.Walk):
    """Its step depends on more than key and state."""

    def step(self, key, state, data):
        state, row = super().step(key, state, data)
        x = row["x"] + next(counter)
        return state._replace(x=x), {**row, "x": x}


def test_an_impure_step_breaks_replay_and_resume():
    bench = laws.Harness(Impure(), ())
    assert loop.chunks_do_not_matter(bench)
    assert loop.resumed_run_is_identical(bench)
    assert loop.middle_stride_replays(bench)


@dataclass(frozen=True)
class Hidden(toy_tasks.Talk):
    """It keeps data that the next step needs outside of the state."""

    memory = {}

    async def step(self, key, state, data):
        lengths = self.memory.setdefault(state["item"], [])
        lengths.append(1)
        return state, {"word": "", "length": len(lengths)}


def test_state_outside_of_the_state_breaks_the_laws():
    assert laws.check_task(Hidden(), workers=())[
        "a resumed run equals an uninterrupted one"
    ]


@dataclass(frozen=True)
class Retraced(toy_tasks.Walk):
    """Its step is traced a second time, because it calls itself."""

    def step(self, key, state, data):
        if type(self).__name__ == "Counted" and not getattr(key, "seen", False):
            type(self).__mro__[0].step(self, _Seen(key), state, data)
        return toy_tasks.Walk.step(self, getattr(key, "key", key), state, data)


class _Seen:
    seen = True

    def __init__(self, key):
        self.key = key


@dataclass(frozen=True)
class Descent(hs.Task):
    """w ← w − a w from 1, so that L = ½ b (1 − a)²ᵀ."""

    a: float = 0.1  # rate
    b: float = 0.0  # of the loss
    count: int = 1  # a number that is no float
    packable = ("a", "b", "count")
    emits = {"w": hs.Var()}
    stride, steps = 4, 8

    def init(self, key, replica, data):
        return jnp.ones(())

    def step(self, key, state, data):
        w = state - self.a * state
        return w, {"w": w}

    def validation(self, state, data):
        return 0.5 * (self.b + self.count) * state**2


class Halved(Descent):
    """Half of the dependence on its rate is hidden from the derivative."""

    def step(self, key, state, data):
        rate = 0.5 * (self.a + jax.lax.stop_gradient(self.a))
        w = state - rate * state
        return w, {"w": w}


@pytest.mark.slow
def test_a_derivative_that_differs_from_finite_differences_is_reported():
    """dL/da = −T (1 − a)²ᵀ⁻¹ after T = 10 steps, and half of it for ``Halved``."""
    law = "derivatives match finite differences"
    assert laws.check_task(Descent(), workers=())[law] is None
    reason = laws.check_task(Halved(), workers=())[law] or ""
    derivative = -10 * 0.9**19
    assert f"d validation / d a is {derivative / 2:.6g}" in reason
    assert f"finite differences give {derivative:.6g} ± " in reason
    assert law not in laws.check_task(toy_tasks.Tuned(), workers=())


def test_the_number_of_traces_is_counted():
    assert "step 2" in (loop.step_is_traced_once(laws.Harness(Retraced(), ())) or "")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"sigm": 1.0}, "Walk has no field 'sigm'; did you mean 'sigma'?"),
        ({"sigma": 1.0, "lr": 1}, "Walk has no field 'lr'; there are sigma, chains"),
    ],
)
def test_an_unknown_field_is_refused_by_name(fields, line):
    with pytest.raises(hs.RequestError) as error:
        toy_tasks.Walk(**fields)
    assert str(error.value) == line


def test_positional_fields_and_copies_are_as_for_any_dataclass():
    task = toy_tasks.Walk(2.0, chains=3)
    copies = copy.copy(task), pickle.loads(pickle.dumps(task)), replace(task)
    assert all(one == task and one.sigma == 2.0 for one in copies)
    with pytest.raises(hs.RequestError, match="positional"):
        toy_tasks.Walk(1.0, 2, 3)


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (-8.0705, 2e-4, "-8.07050(20)"),
        (0.7971598, 3e-17, "0.7971598"),
        (0.7971598, 0.0, "0.7971598"),
        (0.7971598, float("nan"), "0.7971598"),
        (float("nan"), 0.0, "nan"),
        (0.0, 0.0, "0"),
        (float("inf"), float("inf"), "inf"),
        (1e-20, 2e-21, "0.0000000000000000000100(20)"),
        (0.0, 1e-17, "0.000000000000000000(10)"),
    ],
)
def test_an_error_that_is_rounding_is_not_printed(value, error, told):
    assert format_estimate(value, error) == told


def test_a_fields_comment_is_its_help():
    from heliostat.config import fields_of

    assert fields_of(toy_tasks.Walk)["sigma"].help == "size of a step"


def test_reserved_names_are_refused():
    @dataclass(frozen=True)
    class Bad(toy_tasks.Walk):
        workers: int = 1

    with pytest.raises(hs.RequestError, match="reserved"):
        hs.run(Bad(), on="here")


def test_a_law_that_could_not_be_tried_is_neither_broken_nor_kept():
    laws = {"a law": None, "another": "INCONCLUSIVE: Ray does not start"}
    assert laws_answer(laws).status == 3
    assert laws_answer(laws | {"a third": "wrong"}).status == 1
    assert laws_answer({"a law": None}).status == 0
