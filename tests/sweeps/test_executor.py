"""Sweeps on real workers: killed drivers and workers, shares of GPUs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs

SLOW = f"{toy_tasks.__file__}:Slow"
OVER = ("--over", "pause=0.01,0.02", "seed=0,1,2")
DRAWN = ("--over", "pause=0.01..0.02", "seed=0,1", "--trials", "3")


def driver(store, *words):
    """Start a sweep in another process."""
    command = (sys.executable, "-m", "heliostat", "sweep", SLOW, "--steps", "30")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, "--store", store, *words], **quiet)


def wait_for(condition):
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("not met within a minute")


def statuses(store):
    store.mkdir(exist_ok=True)  # the driver may not have begun
    return Counter(hs.runs(store=store).status)


def logs(store):
    runs = hs.runs(store=store)
    return [hs.Run(next(store.glob(f"*/{id_}"))).events() for id_ in runs.id]


def dataset(store, *words):
    """Run the same sweep in this process: missing cells are computed."""
    axes = {"seed": [0, 1, 2], "pause": [0.01, 0.02]}
    if "--trials" in words:
        axes = {"pause": hs.Range(0.01, 0.02), "seed": [0, 1]}
    how = {"search": words[words.index("--search") + 1], "trials": 3}
    how = how if "--trials" in words else {}
    return hs.sweep(
        toy_tasks.Slow(), over=axes, steps=30, store=store, on="here", **how
    )


TWO_WORKERS = ("--on", "local", "--workers", "2", "--gpus", "0")
WORDS = {
    "grid": (*OVER, "--search", "grid"),
    "sobol": (*DRAWN, "--search", "sobol"),
    "random": (*DRAWN, "--search", "random"),
    "two workers": (*OVER, "--search", "grid", *TWO_WORKERS),
}


@pytest.mark.slow
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_killed_sweep_continues(tmp_path, words):
    words = words if "--on" in words else (*words, "--on", "here")
    process = driver(tmp_path / "a", *words)
    wait_for(lambda: statuses(tmp_path / "a")["complete"] >= 2)
    process.kill()
    process.wait()
    finished = statuses(tmp_path / "a")["complete"]
    assert finished < 6
    resumed = dataset(tmp_path / "a", *words)
    assert resumed.reused >= finished and resumed.states == {"done": 6}
    for log in logs(tmp_path / "a"):
        spans = [(e["start"], e["stop"]) for e in log if e["event"] == "committed"]
        assert len(set(spans)) == len(spans)
    whole = dataset(tmp_path / "b", *words)
    xr.testing.assert_identical(resumed.dataset.load(), whole.dataset.load())


@pytest.mark.slow
def test_cells_are_the_same_on_workers_and_here(fleet_ray, tmp_path):
    over = {"sigma": [0.5, 1.0, 2.0], "seed": [0, 1]}
    shared = hs.sweep(
        toy_tasks.Walk(), over=over, store=tmp_path / "a", workers=2, gpus=0
    )
    alone = hs.sweep(toy_tasks.Walk(), over=over, store=tmp_path / "b", on="here")
    xr.testing.assert_identical(shared.dataset.load(), alone.dataset.load())
    for id_, run in shared.runs.items():
        other = alone.runs[id_]
        for block in range(3):
            assert run.record.strides(block, 10) == other.record.strides(block, 10)
    assert len({pid for pids in placed(tmp_path / "a", "pids") for pid in pids}) == 2


def placed(store, what):
    """Return one detail of all events in which a run was placed."""
    return [e[what] for log in logs(store) for e in log if e["event"] == "placed"]


@pytest.mark.slow
def test_a_worker_that_dies_affects_no_other_cell(fleet_ray, tmp_path):
    over = {"at": [0, 3, 30], "seed": [0, 1]}
    grid = hs.sweep(toy_tasks.Dies(), over=over, store=tmp_path, workers=2, gpus=0)
    assert grid.states == {"done": 4, "failed": 2}
    assert all("times in a row" in reason for reason in grid.failures.reason)
    t = grid.dataset.t
    assert np.array_equal(t.sel(at=0, seed=1), np.arange(1, 21))
    assert np.isnan(t.sel(at=3)[:, 2:]).all()


@pytest.mark.slow
def test_cells_share_gpus(fleet_ray, tmp_path):
    """Two GPUs serve four cells at once: each cell has half a GPU."""
    hs.sweep(
        toy_tasks.Talk(),
        over={"seed": range(4), "items": [1, 2]},
        store=tmp_path,
        workers=4,
        gpus=2,
    )
    gpus = [gpu for (gpu,) in placed(tmp_path, "gpus")]
    pids = [pid for (pid,) in placed(tmp_path, "pids")]
    assert len(set(pids)) == 4
    by_worker = dict(zip(pids, (gpu for (gpu,) in gpus), strict=True))
    assert Counter(by_worker.values()) == {"0": 2, "1": 2}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("on", ["local", "here"])
def test_an_interrupt_ends_every_cell_as_interrupted(tmp_path, on, how):
    more = ("--workers", "2", "--gpus", "0") if on == "local" else ()
    over = ("--over", "pause=0.03,0.04", "seed=0,1,2")
    process = driver(tmp_path, *over, "--on", on, *more)
    wait_for(lambda: statuses(tmp_path)["complete"] >= 1)
    process.send_signal(how)
    assert process.wait(timeout=60) == 130
    assert set(statuses(tmp_path)) <= {"complete", "interrupted", "created"}
    assert not list(tmp_path.glob("*/*/lock.json"))
