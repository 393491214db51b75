"""Fleet on a real Ray: killed and hung workers change no row."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat.driver import placement
from heliostat.driver.progress import silent
from heliostat.fleet import pickles, scheduler, team
from heliostat.system.process import Process, start_time


def local(task, store, **options):
    options = {"gpus": 0, "progress": silent, **options}
    return hs.run(task, store=store, **options)


def strides(run, block=0):
    return run.record.strides(block, run.task.stride)


def placed(run):
    return [e for e in run.events() if e["event"] == "placed"]


def gone(pids, seconds=20):
    """Return True if these processes end in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.1)
    return False


def alive(pid):
    return Process(socket.gethostname(), pid, start_time(pid)).is_alive


def kill_when(store, task, ready, which=-1):
    """Start a thread that kills a worker of the run once ``ready(run)`` holds."""
    store.mkdir(exist_ok=True)

    def watch():
        for _ in range(1200):
            time.sleep(0.05)
            table = hs.runs(store=store)
            if len(table) and table.status[0] != "damaged":
                run = hs.open(table.id[0], store=store, task=type(task))
                if placed(run) and ready(run):
                    os.kill(placed(run)[-1]["pids"][which], signal.SIGKILL)
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.fixture
def frequent_commits(monkeypatch):
    """Commit after every stride or so, so that a kill comes between two commits."""
    monkeypatch.setattr(
        placement.Placement.__new__, "__defaults__", ("local", None, None, 0.02)
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_here_equals_local_on_any_number_of_workers(fleet_ray, walk, tmp_path, workers):
    run = local(toy_tasks.Walk(), tmp_path, workers=workers)
    for block in range(3):
        assert strides(run, block) == strides(walk, block)


@pytest.mark.slow
def test_a_killed_worker_changes_no_row(fleet_ray, tmp_path, frequent_commits):
    task = toy_tasks.Walk(chains=6)
    steps = 8_000
    killer = kill_when(tmp_path / "a", task, lambda r: r.steps > 100)
    run = local(task, tmp_path / "a", steps=steps, workers=2)
    killer.join()
    assert any(e["event"] == "retried" for e in run.events())
    whole = local(task, tmp_path / "b", steps=steps, on="here", gpus=None)
    for block in range(3):
        assert strides(run, block) == strides(whole, block)


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1], ids=["coordinator", "member"])
def test_a_team_that_lost_a_worker_is_rebuilt_at_its_size_with_equal_bits(
    fleet_ray, tmp_path, frequent_commits, which
):
    task, steps = toy_tasks.Drift(), 1200
    killer = kill_when(tmp_path / "a", task, lambda r: r.steps > 20, which)
    run = local(task, tmp_path / "a", steps=steps, workers=2)
    killer.join()
    retried = [e for e in run.events() if e["event"] == "retried"]
    assert len(retried) == 1 and [e["workers"] for e in placed(run)] == [2, 2]
    assert gone([pid for e in placed(run) for pid in e["pids"]])
    whole = local(task, tmp_path / "b", steps=steps, workers=2)
    assert strides(run) == strides(whole)


@pytest.mark.slow
def test_a_team_of_two_equals_one_worker_within_rounding(fleet_ray, tmp_path):
    one = local(toy_tasks.Drift(), tmp_path / "1", workers=1, x64=True)
    two = local(toy_tasks.Drift(), tmp_path / "2", workers=2, x64=True)
    assert placed(two)[0]["layout"] == "2 cpu in 2 processes"
    xr.testing.assert_allclose(one.rows, two.rows, rtol=1e-9)


@pytest.mark.slow
def test_a_team_takes_the_largest_size_that_divides_the_axis(fleet_ray, tmp_path):
    run = local(toy_tasks.Drift(points=9), tmp_path, workers=2)
    assert placed(run)[-1]["workers"] == 1
    assert any(e["event"] == "resized" for e in run.events())
    assert run.status == "complete"


@pytest.fixture
def room_for_one(fleet_ray, monkeypatch):
    """Another user has three of the four cores."""
    monkeypatch.setattr(team, "SCHEDULING_TIMEOUT", 8.0)
    actor = type("OccupiedCores", (), {"ping": lambda self: 1})
    occupied_cores = fleet_ray.remote(num_cpus=3)(actor).remote()
    fleet_ray.get(occupied_cores.ping.remote(), timeout=60)
    yield
    fleet_ray.kill(occupied_cores)


@pytest.mark.slow
def test_a_team_shrinks_to_the_cores_that_are_free(room_for_one, tmp_path):
    run = local(toy_tasks.Drift(), tmp_path, workers=2)
    assert [e["workers"] for e in placed(run)] == [1]
    assert run.status == "complete"


@pytest.mark.slow
def test_blocks_go_on_with_the_workers_that_there_is_room_for(room_for_one, tmp_path):
    run = local(toy_tasks.Walk(), tmp_path / "a", workers=3)
    whole = local(toy_tasks.Walk(), tmp_path / "b", on="here", gpus=None)
    assert len(placed(run)) == 1 and run.status == "complete"
    for block in range(3):
        assert strides(run, block) == strides(whole, block)


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_the_run(fleet_ray, tmp_path):
    with pytest.raises(hs.RunFailed, match="lost 4 times in a row"):
        local(toy_tasks.Dies(), tmp_path)
    run = hs.open(hs.runs(store=tmp_path).id[0], store=tmp_path, task=toy_tasks.Dies)
    assert run.status == "failed" and run.steps == 6
    pids = [pid for e in placed(run) for pid in e["pids"]]
    assert len(pids) == 4 and gone(pids)


def test_a_mistake_in_a_step_is_not_tried_again(fleet_ray, tmp_path):
    with pytest.raises(hs.RunFailed, match="author's mistake"):
        local(toy_tasks.Raises(), tmp_path)
    run = hs.open(hs.runs(store=tmp_path).id[0], store=tmp_path, task=toy_tasks.Raises)
    assert run.status == "failed" and run.steps == 6 and len(placed(run)) == 1


@pytest.mark.slow
def test_a_hung_worker_is_replaced(fleet_ray, tmp_path, frequent_commits, monkeypatch):
    monkeypatch.setattr(scheduler, "MIN_CHUNK_TIMEOUT", 3.0)
    task = toy_tasks.Slow()

    def stopper():
        for _ in range(600):
            time.sleep(0.05)
            table = hs.runs(store=tmp_path)
            if len(table):
                run = hs.open(table.id[0], store=tmp_path, task=toy_tasks.Slow)
                if run.steps > 10:
                    os.kill(placed(run)[0]["pids"][0], signal.SIGSTOP)
                    return

    thread = threading.Thread(target=stopper)
    thread.start()
    run = local(task, tmp_path, steps=60)
    thread.join()
    assert any("no answer" in e.get("reason", "") for e in run.events())
    assert run.rows.t.values.tolist() == list(range(1, 61))


@pytest.mark.slow
def test_fake_gpus_are_granted_and_teams_placed_on_them(fleet_ray, tmp_path):
    """Two GPUs that Ray believes in: each worker of the team gets one of them."""
    run = hs.run(toy_tasks.Drift(), store=tmp_path, workers=2, gpus=2, progress=silent)
    assert run.status == "complete" and placed(run)[0]["workers"] == 2
    assert sorted(placed(run)[0]["gpus"]) == [["0"], ["1"]]
    blocks = hs.run(
        toy_tasks.Walk(), store=tmp_path, workers=3, gpus=1, progress=silent
    )
    assert [e["gpus"] for e in placed(blocks)] == [[["0"]]] * 3
    with pytest.raises(hs.RequestError, match="gpus=5: the cluster has 2"):
        hs.run(
            toy_tasks.Walk(), seed=3, store=tmp_path / "none", gpus=5, progress=silent
        )
    assert hs.runs(store=tmp_path / "none").empty


@pytest.mark.slow
def test_verification_replays_on_the_fleet(fleet_ray, tmp_path):
    run = local(toy_tasks.Drift(), tmp_path, workers=2)
    same = hs.verify(run, segments="all")
    assert same.status == "ACCEPT" and "bit for bit" in same.replayed[0]
    other = hs.verify(run, segments=2, workers=1)
    assert other.status == "ACCEPT" and "allowed over" in other.replayed[0]


@pytest.mark.slow
def test_python_tasks_run_on_workers(fleet_ray, tmp_path):
    one = local(toy_tasks.Talk(), tmp_path / "1", workers=1)
    three = local(toy_tasks.Talk(), tmp_path / "3", workers=3)
    assert one.rows.word.values.tolist() == three.rows.word.values.tolist()
    assert np.unique(one.rows.word.values).size > 6


def test_code_is_shipped_by_many_threads_at_once():
    """Each as alone: that it goes by value is a state of the whole process."""
    alone, before = pickles.pickle_task(toy_tasks.Walk()), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(pickles.pickle_task, [toy_tasks.Walk()] * 40))
    finally:
        sys.setswitchinterval(before)
    assert set(results) == {alone}
