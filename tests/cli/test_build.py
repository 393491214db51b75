"""A task is built once, and its fields pass through few files to ``step``."""

from __future__ import annotations

import functools
import sys

from support import toy_tasks
from support.toy_tasks import HERE, WALK


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
    """The path of a field is the set of files on the call stack when the task is
    built, and when ``step`` is first called.  Files that only inspect the task, such as
    checks, identity and storage, are not on the path."""
    paths, walk = {"__init__": [], "step": []}, toy_tasks.Walk

    def recorded(name):
        method = getattr(walk, name)

        @functools.wraps(method)  # keeps the signature by which fields are checked
        def record(*args, **fields):
            paths[name].append(files_of_callers())
            return method(*args, **fields)

        return record

    for name in paths:
        monkeypatch.setattr(walk, name, recorded(name))
    assert run_cli("run", WALK, "--sigma", "0.5", *HERE).status == 0
    assert len(paths["__init__"]) == 1, "the task was built again"
    assert len(paths["step"]) == 1, "step was traced again"
    assert len(paths["__init__"][0] | paths["step"][0]) <= 15
