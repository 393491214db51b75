"""An invalid request gets one line, and stores nothing."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from support import toy_tasks
from support.toy_tasks import HERE, WALK

import heliostat as hs
from heliostat.store import lock


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("vmc --molecule LiHe", "unknown molecule 'LiHe'"),
        ("vmc --molecul LiH", "vmc has no field 'molecul'; did you mean 'molecule'?"),
        ("vmc --molecule LiH --spin 1", "spin"),
        ("vmc --molecule|Li 0 0 0; H 0 0 0", "nuclei"),
        ("vmc --walkers -5", "walkers"),
        ("vmc --walkers 1.5", "walkers='1.5': expected an int"),
        ("vmc --steps 0", "--steps"),
        ("vmc --steps 1.5", "--steps"),
        ("vmc --seed -1", "--seed"),
        ("vmc --workers 0", "--workers"),
        ("vmc --gpus -1", "--gpus"),
        ("vmc --molecule no/such/file.xyz", "no/such/file.xyz"),
        ("vmc --preset quik", "VMC has no preset 'quik'; did you mean 'quick'?"),
        ("vmc --config no/such.yaml", "no/such.yaml cannot be read"),
        ("vmc --molecule", "requires an argument"),
        ("vmc LiH", "unexpected 'LiH'"),
        ("vcm", "unknown task 'vcm'; did you mean 'vmc'?"),
        ("no/such.py:Task", "no/such.py"),
        ("support.toy_tasks:Wlak", "support.toy_tasks:Wlak"),
        ("support.toy_tasks:Walk --sigma=-1", "sigma -1.0: expected a positive number"),
        ("support.toy_tasks:Walk --workers 2 --on here", "workers 2"),
        ("", "TASK"),
    ],
)
def test_mistakes_get_one_line_and_store_nothing(run_cli, store, words, line):
    split = [w for part in words.split("|") for w in (part.split() or [""])]
    if "|" in words:
        split = [*words.split("|")[0].split(), words.split("|")[1]]
    result = run_cli("run", *filter(None, split))
    assert result.status == 2 and line in result.error and result.out == ""
    assert not store.exists()


def test_an_imported_pydantic_validates_nothing(run_cli):
    """Ray or a user's file may import pydantic; values are converted as without it."""
    import pydantic

    result = run_cli("run", "vmc", "--walkers", "1.5")
    assert result.error == "walkers='1.5': expected an int"
    assert sys.modules["pydantic"] is pydantic


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("rn vmc", "did you mean 'run'?"),
        ("resume", "RUN"),
        ("resume 0123", "no run '0123'"),
        ("extend 0123", "--steps"),
        ("show vcm", "did you mean 'vmc'?"),
        ("runs --stoer x", "did you mean '--store'?"),
        ("runs --task vcm", "did you mean 'vmc'?"),
        ("watch 0123", "no run '0123'"),
        ("export 0123", "--output"),
        ("check vcm", "did you mean 'vmc'?"),
    ],
)
def test_mistakes_in_other_verbs_get_one_line(run_cli, words, line):
    result = run_cli(*words.split())
    assert result.status == 2 and line in result.error and result.out == ""


def test_json_has_the_error(run_cli):
    result = run_cli("run", "vmc", "--molecul", "He", "--json")
    assert (
        result.object == {"status": "error", "error": result.error}
        and result.status == 2
    )


def test_a_store_that_cannot_be_written(run_cli):
    result = run_cli("run", WALK, *HERE, "--store", "/dev/null/x", "--json")
    assert result.status == 1 and "/dev/null/x is not writable" in result.error
    assert result.object["error"] == result.error


def test_a_busy_run_is_left_alone(run_cli, stored):
    with lock.Lock(Path(stored["path"])):
        result = run_cli("run", WALK, "--steps", "60", *HERE, "--json")
    assert result.status == 1 and "is driven by process" in result.error
    assert result.object["id"] == stored["id"]


def interrupt_once_committed(store, how):
    """Simulate a signal to this process once a run has committed a step."""
    for _ in range(1200):
        logs = [file.read_text() for file in store.glob("*/*/events.jsonl")]
        if any("committed" in log for log in logs):
            break
        time.sleep(0.05)
    _thread.interrupt_main(how)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_tells_how_to_resume(run_cli, store, how):
    threading.Thread(target=interrupt_once_committed, args=(store, how)).start()
    result = run_cli("run", "support.toy_tasks:Slow", *HERE, "--json")
    answer = result.object
    assert result.status == 130 and answer["status"] == "interrupted"
    steps = hs.open(answer["id"], task=toy_tasks.Slow).steps
    assert f"continues from step {steps}" in answer["error"]
    assert f"heliostat resume {answer['id']} --store" in answer["error"]
    assert (
        "--task support.toy_tasks:Slow" in answer["error"]
        and "Traceback" not in result.err
    )


def test_a_task_that_raises_ends_as_failed(run_cli):
    result = run_cli("run", "support.toy_tasks:Raises", *HERE, "--json")
    assert result.status == 1 and "the author's mistake" in result.object["error"]
    assert "Traceback" not in result.err and "(toy_tasks.py:" in result.object["error"]
    assert f"`heliostat logs {result.object['id']} --full" in result.object["error"]
    run = hs.open(result.object["id"])
    assert result.object["status"] == run.status == "failed" and run.steps == 6
    assert "Traceback" not in run_cli("logs", run.id).out
    assert "ZeroDivisionError" in run_cli("logs", run.id, "--full").out
