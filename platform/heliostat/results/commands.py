"""Command lines about stored runs, which can be pasted into a shell as they are."""

from __future__ import annotations

import json
from pathlib import Path

from heliostat import config
from heliostat.answer import command
from heliostat.config import registry
from heliostat.task import Task


def run_command(
    verb: str, path: Path, *options: str | Path | int, task: Task | None = None
) -> str:
    """Return a command about one run: its id, its store, and how to find its task.

    Args:
        verb: the words before the id, such as ``"resume"``.
        path: the folder of the run.
        options: the options of the verb.
        task: the task of the run, if the verb needs its class or its code.

    Example:
        >>> run_command("logs", Path("my runs/walk/0123456789abcdef"), "--full")
        "heliostat logs 0123456789abcdef --full --store 'my runs'"
    """
    store = ("--store", path.parents[1])
    return command(*verb.split(), path.name, *options, *store, *_sources(task))


def details_of(path: Path) -> str:
    """Return the end of a message about a failed run: where its traceback is."""
    return f"`{run_command('logs', path, '--full')}` prints the details"


def open_line(path: Path, task: Task) -> str:
    """Return the line of Python that opens a run in another session."""
    arguments = [_quoted(path.name), f"store={_quoted(str(path.parents[1]))}"]
    if address := registry.address_of(type(task)):
        arguments.append(f"task={_quoted(address)}")
    if codes := config.codes_of(task):
        arguments.append(f"code=[{', '.join(_quoted(str(code)) for code in codes)}]")
    return f"hs.open({', '.join(arguments)})"


def _sources(task: Task | None) -> list[str]:
    """Return the options that name the class and the code of a task."""
    if task is None:
        return []
    address = registry.address_of(type(task))
    options = ["--task", address] if address else []
    return options + [w for c in config.codes_of(task) for w in ("--code", str(c))]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
