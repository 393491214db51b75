"""Removing a sweep: its runs stay, or go where no other sweep has them."""

from __future__ import annotations

import json

import pytest
import toys

import heliostat as hs
from heliostat.lock import Lock

SMALL = {"sigma": [0.5, 1.0]}
LARGE = {"sigma": [0.5, 1.0, 2.0]}


def sweep(store, over, task=None, **options):
    task = task or toys.Stroll()
    return hs.sweep(task, over=over, store=store, on="here", **options)


def ids(store):
    return set(hs.runs(store=store).id)


def test_its_runs_stay(tmp_path):
    grid = sweep(tmp_path, SMALL)
    assert hs.remove_sweep(grid.id[:6], store=tmp_path) == [grid.path]
    assert ids(tmp_path) == set(grid.runs) and not grid.path.exists()
    with pytest.raises(hs.RequestError, match="no sweep"):
        hs.open_sweep(grid.id, store=tmp_path)
    assert sweep(tmp_path, SMALL).reused == 2


def test_runs_of_other_sweeps_and_of_nobody_stay(tmp_path):
    small, large = sweep(tmp_path, SMALL), sweep(tmp_path, LARGE)
    other = hs.run(toys.Stroll(sigma=9.0), store=tmp_path, on="here").id
    hs.remove_sweep(large.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == {*small.runs, other}
    again = hs.open_sweep(small.id, store=tmp_path, task=toys.Stroll)
    assert again.states == {"done": 2}
    hs.remove_sweep(small.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == {other}


def test_a_pack_goes_as_a_whole(tmp_path):
    """The larger grid took two cells of the smaller one's pack, and made another."""
    task = toys.Tuned(chains=3)
    small = sweep(tmp_path, SMALL, task, steps=10)
    large = sweep(tmp_path, LARGE | {"seed": [0, 1]}, task, steps=10)
    assert large.reused == 2 and len(ids(tmp_path)) == 6
    hs.remove_sweep(small.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == set(large.runs)
    gone = hs.remove_sweep(large.id, runs=True, store=tmp_path)
    assert ids(tmp_path) == set() and len(gone) == 3


def test_a_pack_of_which_another_sweep_has_a_cell_stays(tmp_path):
    task = toys.Tuned(chains=3)
    large = sweep(tmp_path, LARGE, task, steps=10)
    sweep(tmp_path, SMALL, task, steps=10)
    assert hs.remove_sweep(large.id, runs=True, store=tmp_path) == [large.path]
    assert ids(tmp_path) == set(large.runs)


def test_what_is_driven_is_not_removed(tmp_path):
    grid = sweep(tmp_path, SMALL)
    run = next(iter(grid.runs.values()))
    for folder in (grid.path, run.path):
        with Lock(folder), pytest.raises(hs.Busy, match="is driven by process"):
            hs.remove_sweep(grid.id, runs=True, store=tmp_path)
    assert hs.remove_sweep(grid.id, runs=True, store=tmp_path)[-1] == grid.path
    assert ids(tmp_path) == set()


def test_a_forged_ledger_leads_nowhere_else(tmp_path):
    store, outside = tmp_path / "store", tmp_path / "outside"
    grid = sweep(store, SMALL)
    outside.mkdir()
    (outside / "spec.json").write_text("{}")
    with (grid.path / "events.jsonl").open("a") as stream:
        for name in ("../../outside", str(outside), "..", ""):
            stream.write(json.dumps({"event": "done", "run": name}) + "\n")
    hs.remove_sweep(grid.id, runs=True, store=store)
    assert outside.exists() and store.exists() and ids(store) == set()
