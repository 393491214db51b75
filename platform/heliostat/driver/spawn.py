"""Start a driver in a process of its own, which outlives this one."""

from __future__ import annotations

import signal
import subprocess
import sys

from heliostat import config
from heliostat.driver.placement import Placement
from heliostat.results.goal import Goal
from heliostat.store.record import Record
from heliostat.task import Task

_SPAWNED: list[subprocess.Popen[bytes]] = []
"""Drivers that this process has started, kept so that they can be reaped."""


def spawn(record: Record, argv: list[str]) -> None:
    """Start a driver in a session of its own, so that it outlives this terminal."""
    with (record.path / "driver.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliostat", *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    _SPAWNED.append(process)


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
