"""Driver of a run: it is killed, interrupted, stopped, refused or replaced."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.store import lock


def run_here(task, **options):
    return hs.run(task, on="here", progress=silent, **options)


DRIVER = textwrap.dedent(
    """
    import sys; sys.path.insert(0, {tests!r})
    import heliostat as hs
    from support import toy_tasks
    from heliostat.driver.progress import silent
    task, steps = getattr(toy_tasks, {task!r})(), {steps}
    hs.run(task, steps=steps, on="here", store={store!r}, progress=silent)
    """
)


def driver(store, task="Slow", steps=100):
    tests = str(Path(toy_tasks.__file__).parents[1])
    code = DRIVER.format(tests=tests, store=str(store), task=task, steps=steps)
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def stored(store, task=toy_tasks.Slow):
    store.mkdir(exist_ok=True)  # the driver may not have begun
    table = hs.runs(store=store)
    return hs.open(table.id[0], store=store, task=task) if len(table) else None


def begun(store):
    run = stored(store)
    return run is not None and run.steps > 0


def test_a_killed_driver_resumes_to_the_same_rows(tmp_path):
    process = driver(tmp_path / "a")
    wait_for(lambda: begun(tmp_path / "a"))
    process.kill()
    process.wait()
    run = stored(tmp_path / "a")
    assert run.status == "interrupted" and 0 < run.steps < 100
    resumed = hs.resume(
        run.id, on="here", store=tmp_path / "a", task=toy_tasks.Slow, progress=silent
    )
    assert resumed.status == "complete" and resumed.steps == 100
    whole = run_here(toy_tasks.Slow(), steps=100, store=tmp_path / "b")
    assert resumed.record.strides(0, 5) == whole.record.strides(0, 5)


def test_a_second_driver_is_refused_and_stop_stops_the_first(tmp_path):
    process = driver(tmp_path)
    wait_for(lambda: begun(tmp_path))
    with pytest.raises(hs.Busy, match=str(process.pid)):
        run_here(toy_tasks.Slow(), store=tmp_path)
    run = hs.stop(stored(tmp_path), wait=30)
    assert process.wait(timeout=30) == 0
    assert run.status == "stopped" and 0 < run.steps < 100
    assert hs.stop(run).status == "stopped"  # again: nothing is left to do


def test_ctrl_c_ends_a_step_that_waits(tmp_path):
    process = driver(tmp_path, "Waits")
    wait_for(lambda: (run := stored(tmp_path, toy_tasks.Waits)) and run.steps)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    run = stored(tmp_path, toy_tasks.Waits)
    assert run.record.attrs["status"] == "interrupted" and 0 < run.steps < 3


def test_sigterm_leaves_a_resumable_run_and_no_lock(tmp_path):
    process = driver(tmp_path)
    wait_for(lambda: begun(tmp_path))
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    run = stored(tmp_path)
    assert run.record.attrs["status"] == "interrupted" and run.steps < 100
    assert run.events()[-1]["event"] == "interrupted"
    assert not (run.path / "lock.json").exists()


@pytest.mark.parametrize("on", ["here", pytest.param("local", marks=pytest.mark.slow)])
def test_a_task_that_pauses_stops_its_run_and_it_goes_on(tmp_path, on):
    permit = tmp_path / "permit"
    task, about = toy_tasks.Moody(str(permit), 3), {"on": on, "progress": silent}
    run = hs.run(task, store=tmp_path / "s", **about)
    assert run.status == "stopped" and run.steps < 3
    assert run.record.attrs["reason"] == "nobody permits it"
    assert hs.resume(run, **about).status == "stopped"
    permit.touch()
    run = hs.resume(run, **about)
    assert run.status == "complete" and run.rows.n[:, -1].values.tolist() == [4] * 3
    assert "reason" not in run.record.attrs


def test_a_lease_runs_out(tmp_path):
    (tmp_path / "lock.json").write_text(
        json.dumps(
            {"token": "x", "pid": 1, "host": "elsewhere", "expires": time.time() - 1}
        )
    )
    with lock.Lock(tmp_path):
        assert lock.lock_owner(tmp_path)["pid"] == os.getpid()
    assert lock.lock_owner(tmp_path) is None


def take_over(folder):
    """Write the lock of a second driver in place of one whose lease ran out."""
    other = {"token": "x", "pid": 1, "host": "elsewhere", "expires": time.time() + 60}
    (folder / "lock.json").write_text(json.dumps(other))


def test_a_driver_that_lost_its_lock_stops_and_leaves_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "LEASE", 0.2)

    class Thief:
        """Observer that takes the lock at the first commit, then waits a second."""

        follow, on_event = silent.follow, silent.on_event

        def on_chunk(self, chunk):
            (folder,) = (p.parent for p in tmp_path.rglob("lock.json"))
            take_over(folder)
            time.sleep(1)

    with pytest.raises(hs.Busy, match="another driver has taken over"):
        hs.run(toy_tasks.Slow(), on="here", store=tmp_path, progress=Thief())
    run = stored(tmp_path)
    assert 0 < run.steps < 400 and lock.lock_owner(run.path)["host"] == "elsewhere"


def test_a_lock_is_renewed_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "LEASE", 0.4)
    with lock.Lock(tmp_path):
        first = lock.lock_owner(tmp_path)["expires"]
        wait_for(lambda: lock.lock_owner(tmp_path)["expires"] > first, seconds=10)


def test_of_two_drivers_that_find_a_dead_lock_one_gets_it(tmp_path):
    """The second driver has seen the dead lock before the first replaces it."""
    with lock.Lock(tmp_path) as first:
        second = lock.Lock(tmp_path)
        with pytest.raises(hs.Busy):
            second._clear({"token": "of a dead driver"})
        assert lock._read(first.path)["token"] == first.token


def test_a_process_number_that_is_used_again_holds_no_lock(tmp_path):
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "token": "x"}
    (tmp_path / "lock.json").write_text(json.dumps(owner | {"born": "1"}))
    with lock.Lock(tmp_path):
        assert lock.lock_owner(tmp_path)["token"] != "x"
