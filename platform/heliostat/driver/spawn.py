"""Start a driver in a process of its own, which outlives this one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from heliostat import config
from heliostat.driver.placement import Placement
from heliostat.results.goal import Goal
from heliostat.store.record import Record
from heliostat.task import Task

_SPAWNED: list[subprocess.Popen[bytes]] = []
"""Drivers that this process has started, kept so that they can be reaped."""


def spawn(record: Record, argv: Sequence[str]) -> None:
    """Start a driver by a command line of ``heliostat``."""
    _start(record, ["heliostat", *argv], b"")


def spawn_with_code(
    record: Record, code: bytes, goal: Goal, placement: Placement
) -> None:
    """Start a driver whose task no other process can import: send the pickled task."""
    options = {"on": placement.on, "workers": placement.workers, "gpus": placement.gpus}
    options |= {"steps": goal.length}
    options |= {"until": goal.condition.text} if goal.condition else {}
    request = {"path": sys.path, "run": str(record.path.resolve()), "options": options}
    content = json.dumps(request).encode() + b"\n" + code
    _start(record, ["heliostat.driver.child"], content)


def _start(record: Record, words: Sequence[str], content: bytes) -> None:
    """Start a module in a session of its own, so that it outlives this terminal."""
    with (record.path / "driver.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    _SPAWNED.append(process)
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as pipe:  # the log has its reason
        pipe.write(content)


def argv(record: Record, task: Task, goal: Goal, placement: Placement) -> list[str]:
    """Return the command line of a driver that resumes a run."""
    line = ["resume", record.id]
    line += ["--store", str(record.path.parents[1].resolve())]
    line += ["--steps", str(goal.length), "--on", placement.on]
    line += ["--until", goal.condition.text] if goal.condition else []
    line += ["--workers", str(placement.workers)] if placement.workers else []
    line += ["--gpus", str(placement.gpus)] if placement.gpus is not None else []
    for code in config.codes_of(task):
        line += ["--code", str(code)]
    return line
