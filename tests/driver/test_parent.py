"""Parents: a run that begins from a state of another run."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr
from support import toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.loop.keys import root_words, step_key

TASK = toy_tasks.Walk(chains=5)


def run_here(task, store, **options):
    return hs.run(task, store=store, on="here", progress=silent, **options)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    store = tmp_path_factory.mktemp("parent")
    run_here(TASK, store, steps=10)  # of which a state is kept
    return run_here(TASK, store, steps=25)


@pytest.fixture
def parent(original, tmp_path):
    """A copy in the store of the test, which may change it."""
    shutil.copytree(original.path.parents[1], tmp_path, dirs_exist_ok=True)
    return hs.open(original.id, store=tmp_path, task=toy_tasks.Walk)


def strides(run):
    blocks = range(3)
    return [run.record.strides(block, run.task.stride) for block in blocks]


def test_a_child_goes_on_from_its_parents_state_with_keys_of_its_own(parent, tmp_path):
    """Step by step in plain Python."""
    child = run_here(
        replace(TASK, sigma=0.5), tmp_path, seed=7, steps=12, parent=parent
    )
    for replica in range(TASK.chains):
        state = parent.state(25, replica)
        np.testing.assert_array_equal(state.x, child.state(0, replica).x)
        for step in range(1, 13):
            key = step_key(root_words(7), replica, step)
            state, row = child.task.step(key, state, None)
            stored = child.rows.isel(draw=step - 1, chain=replica)
            np.testing.assert_allclose(stored.x, row["x"], rtol=1e-5, atol=1e-5)


def test_what_a_run_begins_from_is_in_its_identity(parent, tmp_path):
    plain = run_here(TASK, tmp_path, seed=3, steps=10)
    children = [
        run_here(TASK, tmp_path, seed=3, steps=10, parent=parent, parent_step=step)
        for step in (10, 25)
    ]
    assert len({run.id for run in (plain, *children)}) == 3
    assert "parent" not in plain.spec.identity
    entry = children[1].spec.identity["parent"]
    assert entry["run"] == parent.id and entry["step"] == 25
    ends = [chain[-1][0].state.hex() for chain in strides(parent)]
    assert entry["states"] == ends
    assert (
        run_here(TASK, tmp_path, seed=3, steps=10, parent=parent).id == children[1].id
    )


@pytest.mark.slow
def test_a_child_needs_its_parent_for_nothing(parent, tmp_path):
    about = {"seed": 7, "parent": parent}
    whole = run_here(TASK, tmp_path / "whole", steps=40, **about)
    part = run_here(TASK, tmp_path, steps=13, **about)
    hs.remove(parent)
    assert hs.verify(part, segments="all", on="here").status == "ACCEPT"
    longer = hs.extend(part, steps=40, on="here", progress=silent)
    assert longer.id == whole.id and strides(longer) == strides(whole)
    again = hs.open(part.id, store=tmp_path, task=toy_tasks.Walk)
    assert again.task == TASK and again.kept()[0] == 0


def test_untraced_tasks_have_children_too(tmp_path):
    parent = run_here(toy_tasks.Talk(), tmp_path, steps=2)
    child = run_here(toy_tasks.Talk(), tmp_path, seed=1, steps=4, parent=parent)
    assert child.state(0) == parent.state(2)
    assert hs.verify(child, segments="all", on="here").status == "ACCEPT"


@pytest.mark.slow
def test_workers_do_not_matter(fleet_ray, parent, tmp_path):
    about = {"seed": 7, "steps": 30, "parent": parent}
    one = run_here(TASK, tmp_path / "here", **about)
    two = hs.run(
        TASK, store=tmp_path, workers=2, gpus=0, progress=silent, **about
    )  # the same store as its parent
    assert strides(one) == strides(two)


def test_another_state_to_begin_from_is_rejected(parent, tmp_path):
    child = run_here(TASK, tmp_path, seed=7, steps=12, parent=parent)
    assert hs.verify(child, on="here").status == "ACCEPT"
    states = child.record.checkpoints
    state = states.load(1, 0)
    states.save(1, 0, {n: v + 1 if n == "x" else v for n, v in state.items()})
    verdict = hs.verify(child, on="here")
    assert verdict.status == "REJECT"
    assert verdict.reasons == ["the state of block 1 at step 0 differs"]
    states.drop(1, [0])
    verdict = hs.verify(child, on="here")
    assert verdict.status == "REJECT" and "this state is missing" in str(verdict)


def test_a_state_that_is_not_the_parents_own_begins_nothing(parent, tmp_path):
    states = parent.record.checkpoints
    state = states.load(1, 25)
    states.save(1, 25, {n: v + 1 if n == "x" else v for n, v in state.items()})
    with pytest.raises(hs.StoreError, match="block 1 at step 25 is not its own"):
        run_here(TASK, tmp_path, seed=7, steps=12, parent=parent)
    assert len(hs.runs(store=tmp_path)) == 1


def test_a_parent_with_another_state_is_reported(parent, tmp_path):
    child = run_here(TASK, tmp_path, seed=7, steps=12, parent=parent)
    root = zarr.open_group(parent.path / "record.zarr", mode="r+")
    digests = np.asarray(root["digests"][:])
    digests[2, -1, 0] ^= 1
    root["digests"][:] = digests
    verdict = hs.verify(child, on="here")
    assert verdict.status == "REJECT"
    reason = f"the parent {parent.id} has another state of block 2 at step 25"
    assert verdict.reasons == [reason]


@pytest.mark.parametrize(
    ("task", "options", "says"),
    [
        (toy_tasks.Drift(), {}, "its task is walk, expected drift"),
        (TASK, {"x64": True}, "its x64 is False, expected True"),
        (toy_tasks.Walk(chains=4), {}, "it has 5 replicas, expected 4"),
        (TASK, {"parent_step": 11}, "no state of step 11 is kept; the nearest is 10"),
    ],
)
def test_an_unlike_parent_is_refused(parent, tmp_path, task, options, says):
    with pytest.raises(hs.RequestError, match=says):
        run_here(task, tmp_path, seed=1, steps=5, parent=parent, **options)
    assert len(hs.runs(store=tmp_path)) == 1
