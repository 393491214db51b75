"""Installed tasks: entry points of the group ``heliostat.tasks``.

A broken plugin is listed as broken and does not break the command line.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from heliostat.config.execution import EXECUTED, execute
from heliostat.errors import RequestError, did_you_mean
from heliostat.task import Task

GROUP = "heliostat.tasks"

_TYPED: dict[type[Task], str] = {}
"""Addresses of classes as the user of this process typed them."""


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
        raise unknown_task(name, available())
    return _load(entry)


def unknown_task(name: str, names: Iterable[str]) -> RequestError:
    """Return the error to raise for a name that is none of ``names``."""
    listed = "; `heliostat tasks` lists them"
    if name.endswith(".py"):
        listed = f"; a task in a file is {name}:CLASS"
    hint = did_you_mean(name, names) or listed
    return RequestError(f"unknown task '{name}'{hint}")


def load_task(path: str) -> type[Task]:
    """Import the task at ``module:Class`` or ``file.py:Class``.

    Call it only with text from the user, never with text from a store.
    """
    if ":" not in path:
        return find_task(path)
    module, _, name = path.rpartition(":")
    try:
        if module.endswith(".py"):
            namespace = vars(_module_of_file(Path(module).resolve()))
        else:
            namespace = vars(import_module(module))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's file may raise anything
        reason = " ".join(str(error).split())
        if not isinstance(error, ImportError | OSError | SyntaxError):
            reason = f"{type(error).__name__}: {reason}"
        raise RequestError(f"{path}: cannot import {module}: {reason}") from error
    task = namespace.get(name)
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise RequestError(
            f"{path}: expected MODULE:TASK, where TASK is a subclass of hs.Task"
        )
    _TYPED[task] = path
    return task


def task_class(task: type[Task] | str) -> type[Task]:
    """Return a class of tasks, imported if it is given by its name or address.

    Raises:
        RequestError: for anything else, and for a class that cannot be imported.
    """
    if isinstance(task, str):
        return load_task(task)
    if isinstance(task, type) and issubclass(task, Task):
        return task
    name = type(task).__name__
    advice = f"; write task={name}" if isinstance(task, Task) else ""
    raise RequestError(f"task: expected a class of tasks, got a {name}{advice}")


def check_is_task(task: Any) -> None:
    """Check that a value is a task, not its class or its name.

    Raises:
        RequestError: with the line to write instead.
    """
    if isinstance(task, Task):
        return
    if isinstance(task, type) and issubclass(task, Task):
        name = task.__name__
        raise RequestError(f"{name} is a class: expected a task, such as {name}()")
    if isinstance(task, str):
        find_task(task)  # suggests a name
        module, _, name = available()[task].value.partition(":")
        line = f"from {module} import {name}"
        raise RequestError(
            f"'{task}' is a name: expected a task, {name}(), after {line}"
        )
    raise RequestError(f"expected a task, got {' '.join(repr(task).split()):.40}")


def address_of(task: type[Task]) -> str | None:
    """Return ``FILE.py:TASK`` or ``MODULE:TASK`` of a class that is not installed.

    Returns:
        The text for ``--task``; None for an installed task, and for a class that has no
        file, such as one of a notebook.
    """
    if is_registered(task):
        return None
    module = sys.modules.get(task.__module__)
    file = getattr(module, "__file__", None)
    if task in _TYPED or not file or "." in task.__qualname__:
        return _TYPED.get(task)
    if "." in task.__module__:
        return f"{task.__module__}:{task.__qualname__}"
    return f"{os.path.relpath(file)}:{task.__qualname__}"


def classes_in_process(name: str) -> list[type[Task]]:
    """Return the classes of this process that bear a name, the newest first."""
    classes: list[type[Task]] = Task.__subclasses__()
    for cls in classes:  # grows, until all descendants are in it
        classes += cls.__subclasses__()
    return [cls for cls in reversed(classes) if name_of(cls) == name]


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
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may exit, and Rust extensions panic
        reason = f"{type(error).__name__}: {error}"
        raise RequestError(f"task '{entry.name}' is broken: {reason}") from error
    if not (isinstance(task, type) and issubclass(task, Task)):
        raise RequestError(
            f"task '{entry.name}' is broken: {entry.value} is not a subclass of hs.Task"
        )
    return task


def _module_of_file(file: Path) -> ModuleType:
    """Execute a file in a module whose name replaces no other, and note its classes."""
    text = file.read_bytes()
    execution = execute(text, file, f"heliostat_file_{file.stem}")
    for value in vars(execution.module).values():
        if isinstance(value, type) and value.__module__ == execution.module.__name__:
            EXECUTED[value] = text, execution
    return execution.module
