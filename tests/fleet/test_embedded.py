"""Embedded Ray: no process is left, whatever ends the driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent

TASK = f"{toy_tasks.__file__}:Slow"

pytestmark = pytest.mark.slow  # tests/driver/test_driver.py kills drivers without Ray


def driver(store, *words):
    command = (sys.executable, "-m", "heliostat", "run", TASK, "--store", store)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, *words], start_new_session=True, **quiet)


def begun(store, steps=10):
    """Wait until the run has so many steps, and return it."""
    store.mkdir(exist_ok=True)
    for _ in range(1200):
        time.sleep(0.1)
        table = hs.runs(store=store)
        if len(table) and table.status[0] == "running" and table.steps[0] >= steps:
            return hs.open(table.id[0], store=store, task=toy_tasks.Slow)
    raise AssertionError("the run did not begin")


def session(pid):
    """Processes whose session is that of the driver or that descend from it."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[3] == str(pid) and fields[0] != "Z":
            members.append(int(stat.parent.name))
    return members


def left_of(pids, ignored=(), seconds=40):
    """Names of the processes that do not end in time, except the ignored ones."""
    deadline = time.monotonic() + seconds
    while left := {name for pid in pids if (name := name_of(pid))} - set(ignored):
        if time.monotonic() > deadline:
            return left
        time.sleep(0.2)
    return set()


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().strip("\0").partition("\0")[0]
    except OSError:
        return ""


AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""They look whether their Ray is still there, and end a minute after it was not."""


@pytest.mark.parametrize(
    "signal_number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM]
)
def test_a_killed_or_interrupted_driver_leaves_a_resumable_run_and_no_process(
    tmp_path, signal_number
):
    process = driver(tmp_path)
    run = begun(tmp_path)
    (worker,) = next(e for e in run.events() if e["event"] == "placed")["pids"]
    pids = {worker, *session(process.pid)}
    assert len(pids) > 3  # Ray's own are among them
    os.kill(process.pid, signal_number)
    process.wait(timeout=60)
    assert left_of(pids, AGENTS if signal_number == signal.SIGKILL else ()) == set()
    written = "running" if signal_number == signal.SIGKILL else "interrupted"
    assert run.record.attrs["status"] == written
    assert hs.open(run.id, store=tmp_path, task=toy_tasks.Slow).status == "interrupted"
    kept = {"store": tmp_path, "task": toy_tasks.Slow, "progress": silent}
    resumed = hs.resume(run.id, on="here", **kept)
    assert resumed.rows.t.values.tolist() == list(range(1, 401))


@pytest.fixture
def ray_folder(monkeypatch):
    """Folder of Ray's sessions, with a short path: Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder) / "ray"


def test_a_run_that_ends_leaves_no_process_and_no_session(tmp_path, ray_folder):
    process = driver(tmp_path, "--steps", "60")
    begun(tmp_path, steps=5)
    pids = session(process.pid)
    assert len([*ray_folder.glob("session_2*/heliostat.json")]) == 1
    assert process.wait(timeout=120) == 0
    assert len(pids) > 3 and left_of(pids) == set()
    assert not [*ray_folder.glob("session_*")]
