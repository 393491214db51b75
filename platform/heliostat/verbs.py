"""The verbs that move a run: run, start, resume, extend, stop, remove."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from heliostat import config, device, lock, registry
from heliostat.drive import Place, drive, stop_request, unsaid
from heliostat.errors import Busy, RequestError, RunFailed, StoreError
from heliostat.progress import Progress, default_progress
from heliostat.record import Record
from heliostat.stored import Run, as_run, find, store_folder
from heliostat.task import Task


def run(
    task: Task,
    *,
    seed: int = 0,
    steps: int | None = None,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    x64: bool = False,
    store: str | Path | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Compute a run, or return it if it is stored; more steps extend it.

    Args:
        task: what to run; with ``seed`` and ``x64`` it defines the run's id.
        steps: length; default the task's natural one. Not part of the identity.
        on: ``"local"`` an embedded Ray, ``"here"`` this process, ``"auto"`` the
            cluster of this process, or a cluster's address.
        workers: processes; default the whole machine or cluster.
        gpus: GPUs for all of them together; default all there are.
        x64: compute in float64.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        fresh: recompute what is stored from its first step, and compare.

    Raises:
        RequestError: if the request makes no sense; nothing is stored then.
        StoreError: if the store cannot be written or is damaged.
        RunFailed: if it failed; `resume` goes on from the last commit.
    """
    spec, until = _plan(task, seed, x64, steps)
    _check_place(on, workers, gpus)
    record = _find_or_create(task, spec, store)
    if fresh and record.steps:
        _recompute(record, task, on, workers)
    if record.steps < until or _abandoned(record):
        place = Place(on, workers, gpus)
        try:
            drive(record, task, until, place, progress or default_progress())
        except RequestError:
            if not record.steps:
                remove(Run(record.path, task))  # a bad request stores nothing
            raise
    limit = until if until < record.steps else None
    return Run(record.path, task, limit)


def start(
    task: Task,
    *,
    seed: int = 0,
    steps: int | None = None,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    x64: bool = False,
    store: str | Path | None = None,
) -> Run:
    """Like :func:`run`, but return at once: a driver of its own goes on.

    Raises:
        RequestError: also for a task that only exists in this session, since the
            driver could not import it.
    """
    if not registry.is_registered(type(task)):
        raise RequestError(
            f"{type(task).__name__} is not installed, so another process cannot find "
            "it; use run(), or register it as an entry point of heliostat.tasks"
        )
    spec, until = _plan(task, seed, x64, steps)
    _check_place(on, workers, gpus)
    record = _find_or_create(task, spec, store)
    if lock.holder(record.path) and record.attrs.get("steps", 0) < until:
        raise Busy(f"run {spec.id} is being driven, to fewer steps; stop it first")
    if record.steps < until and not lock.holder(record.path):
        record.update(status="created", steps=until, asked=time.time())
        words = ["resume", spec.id, "--store", str(record.path.parents[1].resolve())]
        words += ["--steps", str(until), "--on", on]
        words += ["--workers", str(workers)] if workers else []
        words += ["--gpus", str(gpus)] if gpus is not None else []
        _spawn(record, words)
    return Run(record.path, task)


def resume(
    run: str | Run,
    *,
    steps: int | None = None,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    store: str | Path | None = None,
    task: type[Task] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Bring an unfinished run to the length it was asked for.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        steps: another length; default the one it was planned for.
        task: the class of a task that is not installed.
    """
    _check_place(on, workers, gpus)
    found = as_run(run, store, task)
    planned = int(found.record.attrs.get("steps") or found.task.steps)
    until = planned if steps is None else steps
    _check_steps(until)
    if found.record.steps < until or _abandoned(found.record):
        place = Place(on, workers, gpus)
        drive(found.record, found.task, until, place, progress or default_progress())
    return Run(found.path, found.task)


def extend(run: str | Run, *, steps: int, **where: Any) -> Run:
    """Continue a run to ``steps`` in total; exactly as if it had been asked at first.

    Raises:
        RequestError: if the run is already as long.
    """
    found = as_run(run, where.get("store"), where.pop("task", None))
    if steps <= found.record.steps:
        raise RequestError(
            f"run {found.id} has {found.record.steps} steps already; "
            f"extend it to more than that, got {steps}"
        )
    return resume(found, steps=steps, **where)


def stop(run: str | Run, *, store: str | Path | None = None, wait: float = 0) -> Run:
    """Ask the driver of a run to stop after its next commit.

    Args:
        wait: seconds to wait for it.

    Raises:
        RequestError: if nobody drives the run.
    """
    found = as_run(run, store)
    if not lock.holder(found.path):
        raise RequestError(f"run {found.id} is not running; it is {found.status}")
    stop_request(found.record).touch()
    deadline = time.monotonic() + wait
    while lock.holder(found.path) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def remove(run: str | Run, *, store: str | Path | None = None) -> None:
    """Delete a run and all it stored.

    Raises:
        Busy: if it is being driven.
    """
    path = run.path if isinstance(run, Run) else find(run, store)
    with lock.Lock(path):
        shutil.rmtree(path)


def _plan(
    task: Task, seed: int, x64: bool, steps: int | None
) -> tuple[config.Spec, int]:
    spec = config.specify(task, seed, x64)
    until = task.steps if steps is None else steps
    _check_steps(until)
    return spec, until


def _check_steps(steps: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise RequestError(f"steps {steps!r}: expected a whole number of at least 1")


def _check_place(on: str, workers: int | None, gpus: float | None) -> None:
    if not on:
        raise RequestError("on '': expected local, here, auto or an address")
    if workers is not None and workers < 1:
        raise RequestError(f"workers {workers}: expected at least 1")
    if workers not in (None, 1) and on == "here":
        raise RequestError(f"workers {workers}: there is one process with on='here'")
    if gpus is not None and gpus < 0:
        raise RequestError(f"gpus {gpus:g}: expected 0 or more")


def _find_or_create(task: Task, spec: config.Spec, store: str | Path | None) -> Record:
    root = store_folder(store)
    path = root / spec.identity["task"] / spec.id
    try:
        if path.exists():
            return Run(path, task).record
    except OSError as error:
        raise StoreError(f"store {root} cannot be read: {error.strerror}") from error
    about = {
        "schema": config.SCHEMA,
        "task": spec.identity["task"],
        "replica_dim": task.replica_dim,
        "step_dim": task.step_dim,
        "status": "created",
        "created": time.time(),
        "provenance": device.provenance(),
    }
    return Record.create(path, spec, task, about)


def _abandoned(record: Record) -> bool:
    """Whether a driver was killed after its last commit, before its last words."""
    return unsaid(record) and not lock.holder(record.path)


def _recompute(record: Record, task: Task, on: str, workers: int | None) -> None:
    from heliostat.verification import verify

    verdict = verify(Run(record.path, task), segments="all", on=on, workers=workers)
    if verdict.status != "ACCEPT":
        known = "is not reproduced" if verdict.status == "REJECT" else "is not settled"
        raise RunFailed(f"run {record.path.name} {known}: {verdict.reasons[0]}")


_SPAWNED: list[subprocess.Popen[bytes]] = []
"""Drivers that this process is the parent of; they end when they are done."""


def _spawn(record: Record, words: list[str]) -> None:
    """A driver in a session of its own, so that it outlives this terminal."""
    with (record.path / "driver.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliostat", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    _SPAWNED.append(process)
