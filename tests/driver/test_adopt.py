"""Adoption: a run with other fields than its parent starts from the parent's state."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.loop.keys import root_words, step_key


@dataclass(frozen=True)
class Plain(hs.Task):
    """Walks in several dimensions, each with its age; two replicas to a block."""

    size: int = 4  # dimensions
    sigma: float = 1.0  # size of a step
    emits = {"age": hs.Var(dtype="int32"), "x": hs.Var()}
    packable = ("sigma",)
    replicas, width, stride, steps = 3, 2, 5, 10

    def init(self, key, replica, data):
        return {"age": jnp.int32(0), "x": jax.random.normal(key, (self.size,))}

    def step(self, key, state, data):
        x = state["x"] + self.sigma * jax.random.normal(key, (self.size,))
        return {"age": state["age"] + 1, "x": x}, {"age": state["age"] + 1, "x": x[-1]}


def resized(x, size):
    return x[np.arange(size) * len(x) // size]


@dataclass(frozen=True)
class Walks(Plain):
    """The same, which adopt a parent of another size, unless it is 3."""

    def adopt(self, state, data):
        return {"age": jnp.int32(0), "x": resized(state["x"], self.size)}

    def check_parent(self, parent):
        if parent.size == 3:
            raise hs.RequestError("its size is 3, expected any other")


@dataclass(frozen=True)
class Words(toy_tasks.Talk):
    """Conversations that go on from the last word of another."""

    def adopt(self, state, data):
        return {**state, "said": state["said"][-1:]}


def run_here(task, store, **options):
    return hs.run(task, store=store, on="here", progress=silent, **options)


@pytest.fixture
def parent(tmp_path):
    return run_here(Walks(), tmp_path, steps=5)


def chains(run):
    return [run.record.strides(block, run.task.stride) for block in range(2)]


def test_a_child_starts_from_what_its_task_makes_of_the_parents_state(parent, tmp_path):
    """Step by step in plain Python; its own store keeps the parent's state."""
    child = run_here(Walks(7, 0.5), tmp_path, seed=3, steps=6, parent=parent)
    assert child.rows.age.values.tolist() == [[1, 2, 3, 4, 5, 6]] * 3
    for replica in range(3):
        np.testing.assert_array_equal(child.state(0, replica)["x"].shape, [4])
        x = resized(np.asarray(parent.state(5, replica)["x"]), 7)
        for step in range(1, 7):
            key = step_key(root_words(3), replica, step)
            x = x + 0.5 * np.asarray(jax.random.normal(key, (7,)))
            row = child.rows.isel(step=step - 1, replica=replica)
            np.testing.assert_allclose(row.x, x[-1], rtol=1e-5)


@pytest.mark.slow
def test_an_adopted_start_needs_no_parent_to_resume_or_verify(parent, tmp_path):
    about = {"seed": 3, "parent": parent}
    whole = run_here(Walks(2), tmp_path / "whole", steps=20, **about)
    part = run_here(Walks(2), tmp_path, steps=3, **about)
    hs.remove(parent)
    assert hs.verify(part, segments="all", on="here").status == "ACCEPT"
    longer = hs.extend(part, steps=20, on="here", progress=silent)
    assert longer.id == whole.id and chains(longer) == chains(whole)
    assert hs.verify(longer, segments="all", on="here").status == "ACCEPT"


def test_untraced_tasks_adopt_too(tmp_path):
    parent = run_here(Words(), tmp_path, steps=3)
    child = run_here(Words(), tmp_path, seed=1, steps=2, parent=parent)
    assert child.state(0) == parent.state(3)
    assert child.rows.length.values.tolist() == [[2, 3]] * 3
    assert hs.verify(child, segments="all", on="here").status == "ACCEPT"


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (Plain(), Plain(5), r"has x float32\[4\], the task expects float32\[5\]"),
        (Walks(3), Walks(), "cannot be the parent: its size is 3, expected any other"),
    ],
)
def test_what_cannot_be_adopted_is_refused_in_a_line(tmp_path, first, second, says):
    parent = run_here(first, tmp_path, steps=5)
    with pytest.raises(hs.RequestError, match=says) as error:
        run_here(second, tmp_path, parent=parent)
    assert "\n" not in str(error.value) and len(hs.runs(store=tmp_path)) == 1


@pytest.mark.slow
def test_a_sharded_state_is_adopted_by_any_number_of_workers(fleet_ray, tmp_path):
    """Fifteen points do not divide by two; their child's do."""
    parent = run_here(toy_tasks.Drift(15), tmp_path, steps=5)
    here = run_here(toy_tasks.Drift(8), tmp_path / "here", steps=10, parent=parent)
    there = hs.run(
        toy_tasks.Drift(8),
        store=tmp_path,
        parent=parent,
        workers=2,
        gpus=0,
        progress=silent,
    )
    assert there.events()[1]["layout"] == "2 cpu in 2 processes"
    near = there.rows.spread[:10].values
    np.testing.assert_allclose(here.rows.spread.values, near, rtol=1e-5)
    assert hs.verify(there, segments="all").status == "ACCEPT"
