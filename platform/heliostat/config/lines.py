"""Lines of a task's own code, for messages about mistakes in it."""

from __future__ import annotations

import inspect
import linecache
import traceback
from pathlib import Path
from types import FunctionType, TracebackType

from heliostat.errors import RequestError
from heliostat.task import Task


def error_with_line(error: Exception, task: Task) -> str:
    """Return an error in one line, with the last line of the task's code in it.

    Example:
        >>> error_with_line(KeyError("x"), Task())
        "KeyError: 'x'"
    """
    if isinstance(error, RequestError):
        return str(error)
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
    return text + location(error.__traceback__, task)


def location(trace: TracebackType | None, task: Task) -> str:
    """Return the last line of a trace that is code of a task: " (walk.py:7: return x)".

    Returns:
        The end of a message; empty if no line is in the files of the task's methods.
    """
    files = {method.__code__.co_filename for method in _methods(task)}
    files.discard("<string>")  # where dataclasses generate methods
    own = [frame for frame in traceback.extract_tb(trace) if frame.filename in files]
    return _end(own[-1].filename, own[-1].lineno or 0) if own else ""


def definition(task: Task, method: str) -> str:
    """Return the line that defines a method: " (walk.py:5: def step(...):)"."""
    code = inspect.unwrap(getattr(type(task), method)).__code__
    return _end(code.co_filename, code.co_firstlineno)


def _end(file: str, line: int) -> str:
    text = linecache.getline(file, line).strip()
    return f" ({Path(file).name}:{line}{': ' * bool(text)}{text})"


def _methods(task: Task) -> list[FunctionType]:
    """Return the methods of a task and of its base classes, below ``Task`` itself."""
    classes = [c for c in type(task).__mro__ if issubclass(c, Task) and c is not Task]
    values = [value for cls in classes for value in vars(cls).values()]
    methods = [inspect.unwrap(value) for value in values if callable(value)]
    return [method for method in methods if isinstance(method, FunctionType)]
