"""Removing a sweep keeps its runs, or deletes those that no other sweep has."""

from __future__ import annotations

import json
import os

import pytest
from support import toy_tasks
from support.cooling_task import Cooling, breed, killed

import heliostat as hs
from heliostat.store.lock import Lock

SMALL = {"sigma": [0.5, 1.0]}
LARGE = {"sigma": [0.5, 1.0, 2.0]}


def sweep(store, over, task=None, **options):
    task = task or toy_tasks.Stroll()
    return hs.sweep(task, over=over, store=store, on="here", **options)


def ids(store):
    return set(hs.runs(store=store).id)


def files(store):
    return {p: p.stat().st_mtime_ns for p in store.rglob("*") if p.is_file()}


def test_its_runs_stay(tmp_path):
    grid = sweep(tmp_path, SMALL)
    assert hs.remove_sweep(grid.id[:6], store=tmp_path) == [grid.path]
    assert ids(tmp_path) == set(grid.runs) and not grid.path.exists()
    with pytest.raises(hs.RequestError, match="no sweep"):
        hs.open_sweep(grid.id, store=tmp_path)
    assert sweep(tmp_path, SMALL).reused == 2


def test_runs_of_other_sweeps_and_single_runs_stay(tmp_path):
    small, large = sweep(tmp_path, SMALL), sweep(tmp_path, LARGE)
    other = hs.run(toy_tasks.Stroll(sigma=9.0), store=tmp_path, on="here").id
    hs.remove_sweep(large.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == {*small.runs, other}
    again = hs.open_sweep(small.id, store=tmp_path, task=toy_tasks.Stroll)
    assert again.states == {"done": 2}
    hs.remove_sweep(small.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == {other}


def test_a_pack_is_removed_as_a_whole(tmp_path):
    """The larger grid reuses the pack of the smaller one, and has one more."""
    task = toy_tasks.Tuned(chains=3)
    small = sweep(tmp_path, SMALL, task, steps=10)
    large = sweep(tmp_path, LARGE | {"seed": [0, 1]}, task, steps=10)
    assert large.reused == 2 and len(ids(tmp_path)) == 6
    hs.remove_sweep(small.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == set(large.runs)
    removed = hs.remove_sweep(large.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == set() and len(removed) == 3


def test_a_pack_of_which_another_sweep_has_a_cell_stays(tmp_path):
    task = toy_tasks.Tuned(chains=3)
    large = sweep(tmp_path, LARGE, task, steps=10)
    sweep(tmp_path, SMALL, task, steps=10)
    assert hs.remove_sweep(large.id, runs=True, store=tmp_path) == [large.path]
    assert ids(tmp_path) == set(large.runs)


def test_a_locked_sweep_or_run_is_not_removed(tmp_path):
    grid = sweep(tmp_path, SMALL)
    run = next(iter(grid.runs.values()))
    for folder in (grid.path, run.path):
        with Lock(folder), pytest.raises(hs.Busy, match="is driven by process"):
            hs.remove_sweep(grid.id, runs=True, store=tmp_path)
    assert hs.remove_sweep(grid.id, runs=True, store=tmp_path)[-1] == grid.path
    assert ids(tmp_path) == set()


def test_a_forged_journal_deletes_nothing_outside_the_store(tmp_path):
    store, outside = tmp_path / "store", tmp_path / "outside"
    grid = sweep(store, SMALL)
    outside.mkdir()
    (outside / "spec.json").write_text("{}")
    with (grid.path / "events.jsonl").open("a") as stream:
        for name in ("../../outside", str(outside), "..", ""):
            stream.write(json.dumps({"event": "done", "run": name}) + "\n")
    hs.remove_sweep(grid.id, runs=True, store=store)
    assert outside.exists() and store.exists() and ids(store) == set()


@pytest.mark.slow
def test_nothing_is_left_of_a_killed_population(tmp_path):
    """Also of an active segment; gc removes it if it was half-made."""
    assert killed(tmp_path, 3) >= 3
    (path,) = (tmp_path / "sweeps").iterdir()
    hs.remove_sweep(path.name, runs=True, store=tmp_path)
    for half_made in tmp_path.glob("*/.*"):
        os.utime(half_made, (0, 0))
    hs.gc(tmp_path, machine=False)
    assert not files(tmp_path)


def unlucky(step):
    """Make a step fail with large rates."""

    def failing(self, key, state, data):
        assert self.rate < 0.05
        return step(self, key, state, data)

    return failing


def test_nothing_is_left_of_a_repaired_population(tmp_path, monkeypatch):
    """Also of segments that followed from a failure."""
    with monkeypatch.context() as patched:
        patched.setattr(Cooling, "step", unlucky(Cooling.step))
        first = breed(tmp_path, steps=10)
    result = breed(tmp_path, steps=10)
    assert first.states["failed"] and first.runs.keys() - result.runs
    hs.remove_sweep(result.id, runs=True, store=tmp_path)
    assert not files(tmp_path)


def test_segments_of_another_population_and_single_runs_stay(tmp_path):
    """The larger population begins with the runs of the smaller one."""
    large = breed(tmp_path, 8, steps=10)
    alone = hs.run(Cooling(rate=0.5), store=tmp_path, on="here", steps=5).id
    before = files(tmp_path)
    small = breed(tmp_path, 4, steps=10)
    shared = small.runs.keys() & large.runs.keys()
    assert shared and small.runs.keys() - shared
    hs.remove_sweep(small.id, runs=True, store=tmp_path)
    assert files(tmp_path) == before and ids(tmp_path) == {*large.runs, alone}


@pytest.mark.parametrize("runs", [False, True])
def test_a_dry_run_lists_the_folders_and_deletes_nothing(tmp_path, runs):
    result = breed(tmp_path, 2, steps=10)
    before = files(tmp_path)
    listed = hs.remove_sweep(result.id, runs=runs, store=tmp_path, dry_run=True)
    assert files(tmp_path) == before and len(listed) == 1 + 4 * runs
    assert hs.remove_sweep(result.id, runs=runs, store=tmp_path) == listed
    assert not any(folder.exists() for folder in listed)
