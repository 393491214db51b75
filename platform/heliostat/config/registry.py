"""Installed tasks: entry points of the group ``heliostat.tasks``.

A broken plugin is listed as broken and does not break the command line.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from heliostat.errors import RequestError, did_you_mean
from heliostat.task import Task

GROUP = "heliostat.tasks"


@cache
def available() -> dict[str, EntryPoint]:
    """Return the entry point of every installed task, sorted by name."""
    return {e.name: e for e in sorted(entry_points(group=GROUP), key=lambda e: e.name)}


def find_task(name: str) -> type[Task]:
    """Return the task class that is registered as ``name``.

    Raises:
        RequestError: if it is unknown (with a suggestion), or cannot be imported.
    """
    entry = available().get(name)
    if entry is None:
        hint = did_you_mean(name, available()) or "; `heliostat tasks` lists them"
        raise RequestError(f"unknown task '{name}'{hint}")
    return _load(entry)


def load_task(path: str) -> type[Task]:
    """Import the task at ``module:Class`` or ``file.py:Class``.

    Call it only with text from the user, never with text from a store.
    """
    if ":" not in path:
        return find_task(path)
    module, _, name = path.rpartition(":")
    try:
        if module.endswith(".py"):
            namespace = vars(_module_of_file(module))
        else:
            namespace = vars(import_module(module))
    except (ImportError, OSError, SyntaxError) as error:
        raise RequestError(f"{path}: cannot import {module}: {error}") from error
    task = namespace.get(name)
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise RequestError(
            f"{path}: expected MODULE:TASK, where TASK is a subclass of hs.Task"
        )
    return task


def name_of(task: type[Task]) -> str:
    """Return the registered name, else the class name in snake case."""
    for name, entry in available().items():
        if entry.value in _addresses(task):
            return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", task.__name__).lower()


def is_registered(task: type[Task]) -> bool:
    return any(entry.value in _addresses(task) for entry in available().values())


def _addresses(task: type[Task]) -> set[str]:
    """Return the entry points that may name a class: its module, or the package."""
    package = task.__module__.rpartition(".")[0]
    return {f"{module}:{task.__qualname__}" for module in (task.__module__, package)}


def _load(entry: EntryPoint) -> type[Task]:
    try:
        task = entry.load()
    except Exception as error:  # a plugin may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise RequestError(f"task '{entry.name}' is broken: {reason}") from error
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise RequestError(
            f"task '{entry.name}' is broken: {entry.value} is not a subclass of hs.Task"
        )
    return task


def _module_of_file(path: str):
    import importlib.util
    import sys
    from pathlib import Path

    file = Path(path).resolve()
    name = f"heliostat_file_{file.stem}"  # replaces no other module
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.exists():
        raise ImportError(f"no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
