"""Sweeps over packable fields: one record and one program, and every cell a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs

OVER = {"sigma": [0.5, 1.0, 2.0], "seed": [0, 1]}
TASK = f"{toy_tasks.__file__}:Tuned"


def sweep(store, over=OVER, **options):
    options = {"on": "here", **options}
    return hs.sweep(toy_tasks.Tuned(chains=3), over=over, store=store, **options)


def packs(store):
    return sorted(store.glob("*/packs/*"))


def test_a_grid_is_one_record_and_its_cells_are_runs(tmp_path):
    grid = sweep(tmp_path / "a")
    assert len(packs(tmp_path / "a")) == 1 and grid.states == {"done": 6}
    assert list(hs.runs(store=tmp_path / "a").status) == ["complete"] * 6
    for cell in grid.cells:
        alone = hs.run(cell.task, seed=cell.seed, store=tmp_path / "b", on="here")
        result = hs.open(alone.id, store=tmp_path / "a", task=toy_tasks.Tuned)
        xr.testing.assert_equal(alone.rows, result.rows)
        assert alone.headline == result.headline
        for block in range(2):
            strides = [r.record.strides(block, 10) for r in (alone, result)]
            assert strides[0] == strides[1]
        if cell is grid.cells[-1]:
            assert hs.verify(result, segments="all", on="here").status == "ACCEPT"


@pytest.mark.slow
def test_other_fields_make_other_packs(tmp_path):
    """A field that shapes arrays is not traced; a single cell is no pack."""
    grid = sweep(tmp_path, {"chains": [2, 3], "sigma": [0.5, 1.0]})
    assert len(packs(tmp_path)) == 2 and grid.states == {"done": 4}
    sweep(tmp_path, {"sigma": [3.0]})
    assert len(packs(tmp_path)) == 2 and len(hs.runs(store=tmp_path)) == 5


def test_a_grid_that_grows_packs_what_is_new(tmp_path):
    first = sweep(tmp_path)
    second = sweep(tmp_path, OVER | {"sigma": [0.5, 1.0, 2.0, 3.0]})
    assert (second.computed, second.reused) == (2, 6) and len(packs(tmp_path)) == 2
    same = second.dataset.sel(sigma=[0.5, 1.0, 2.0]).load()
    same.attrs = first.dataset.attrs  # of another sweep
    xr.testing.assert_identical(same, first.dataset.load())


@pytest.mark.slow
def test_more_steps_extend_the_pack(tmp_path):
    sweep(tmp_path / "a", steps=20)
    longer = sweep(tmp_path / "a", steps=40)
    assert longer.computed == 6 and len(packs(tmp_path / "a")) == 1
    whole = sweep(tmp_path / "b", steps=40)
    xr.testing.assert_identical(longer.dataset.load(), whole.dataset.load())


@pytest.mark.slow
def test_more_steps_of_some_cells_do_not_affect_the_others(tmp_path):
    sweep(tmp_path / "a", steps=20)
    part = sweep(tmp_path / "a", {"sigma": [1.0], "seed": [0, 1]}, steps=40)
    assert part.computed == 2 and len(hs.runs(store=tmp_path / "a")) == 6
    steps = hs.runs(store=tmp_path / "a").steps
    assert sorted(steps) == [20] * 4 + [40] * 2
    whole = sweep(tmp_path / "b", {"sigma": [1.0], "seed": [0, 1]}, steps=40)
    xr.testing.assert_identical(part.dataset.load(), whole.dataset.load())


@pytest.mark.slow
def test_workers_share_a_pack(fleet_ray, tmp_path):
    grid = sweep(tmp_path / "a", on="local", workers=2, gpus=0)
    (pack,) = packs(tmp_path / "a")
    log = [json.loads(t) for t in (pack / "events.jsonl").read_text().splitlines()]
    cells = {tuple(e["cells"]) for e in log if e["event"] == "committed"}
    assert cells == {(0, 3), (3, 6)}
    alone = sweep(tmp_path / "b")
    xr.testing.assert_identical(grid.dataset.load(), alone.dataset.load())


@pytest.mark.slow
def test_a_killed_pack_continues(tmp_path):
    over = ("sigma=0.5,1.0,2.0", "seed=0,1")
    words = ("--over", *over, "--chains", "3", "--steps", "4000", "--on", "here")
    command = (sys.executable, "-m", "heliostat", "sweep", TASK, *words)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, "--store", tmp_path / "a"], **quiet)
    for _ in range(1200):
        time.sleep(0.05)
        table = hs.runs(store=tmp_path / "a")
        if len(table) and table.steps.min() > 0:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = sweep(tmp_path / "a", steps=4000)
    assert resumed.states == {"done": 6} and len(packs(tmp_path / "a")) == 1
    whole = sweep(tmp_path / "b", steps=4000)
    xr.testing.assert_identical(resumed.dataset.load(), whole.dataset.load())


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"until": "x_error > 0"}, {"search": "random"}])
def test_cells_with_ends_of_their_own_are_alone(tmp_path, options):
    """A condition may end each at another step. Drawn cells are packed like others."""
    over = {"sigma": hs.Range(0.5, 2)} if "search" in options else OVER
    trials = 3 if "search" in options else None
    sweep(tmp_path, over, trials=trials, **options)
    assert len(packs(tmp_path)) == ("search" in options)
