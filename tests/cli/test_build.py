"""A task is built once, and its fields take a short way to `step`."""

from __future__ import annotations

import functools
import sys

from support import toy_tasks
from support.toy_tasks import HERE, WALK

import heliostat as hs


def files_of_callers() -> set[str]:
    """Return the files of the platform on the call stack."""
    frame, files = sys._getframe(1), set()
    while frame:
        files.add(frame.f_code.co_filename)
        frame = frame.f_back
    return {file for file in files if "/platform/heliostat/" in file}


def test_a_run_builds_its_task_once_and_passes_it_through_few_files(
    run_cli, monkeypatch
):
    """The way of a field is the files on the call stack in two moments: when the task
    is built of it, and when `step` is first called with it.  Files that only look at
    the task, such as checks, its identity and its storage, lie beside the way."""
    ways, walk = {"__init__": [], "step": []}, toy_tasks.Walk

    def recorded(name):
        method = getattr(walk, name)

        @functools.wraps(method)  # keeps the signature by which fields are checked
        def record(*args, **fields):
            ways[name].append(files_of_callers())
            return method(*args, **fields)

        return record

    for name in ways:
        monkeypatch.setattr(walk, name, recorded(name))
    monkeypatch.setattr(hs.Task, "__new__", lambda cls, *_, **__: object.__new__(cls))
    assert run_cli("run", WALK, "--sigma", "0.5", *HERE).status == 0
    assert len(ways["__init__"]) == 1, "the task was built again"
    assert len(ways["step"]) == 1, "step was traced again"
    assert len(ways["__init__"][0] | ways["step"][0]) <= 15
