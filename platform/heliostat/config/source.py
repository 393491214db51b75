"""Source text of tasks: for the identity of tasks that are not installed, and help."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import io
import os
import re
import sys
import threading
import tokenize
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType

from heliostat.config.content import digest, leaves, names
from heliostat.config.execution import EXECUTED, check_again
from heliostat.errors import RequestError
from heliostat.system import audit
from heliostat.task import Task

_PARSING = threading.Lock()
_TRIES = 9
_ADDRESS = r" at 0x[0-9a-f]+"


def source_digest(task: type[Task], in_script: bool = False) -> str:
    """Hash the source of a task that is not installed.

    For a task in a file the text is the file, with the data that it reads if it was
    given as ``FILE.py:CLASS``; for a task in a notebook, the class and, recursively,
    the globals that its methods name.  Base classes are included.

    Args:
        task: the class.
        in_script: hash a class that was given as ``FILE.py:CLASS`` as it is hashed in
            the script itself, which hashes what the data became.

    Raises:
        RequestError: if there is no text, as for a class defined at a prompt.
    """
    bases = [c for c in task.__mro__ if issubclass(c, Task) and c is not Task]
    try:
        texts = [text for cls in bases for text in _texts(cls, in_script)]
    except (OSError, TypeError) as error:
        raise RequestError(
            f"the source of {task.__name__} cannot be read; define it in a file, a "
            "notebook cell or an installed package"
        ) from error
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _texts(cls: type, in_script: bool) -> Iterator[str]:
    if cls in EXECUTED and not in_script:
        yield from _texts_of_file(cls)
        return
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file and os.path.isfile(file):  # a sweep asks for each of its cells
        yield from _texts_of_module(cls, Path(file), in_script)
        return
    yield inspect.cleandoc(_source(cls))
    seen: set[str] = set()
    for method in _written(cls):
        yield from _named(method, seen)


def _texts_of_module(cls: type, file: Path, in_script: bool) -> Iterator[str]:
    """Yield the text of a module; of a script also modules beside it and its data.

    An imported module is its text, as FILE.py:CLASS is if it reads nothing: its globals
    may have been changed since, and differ between processes.
    """
    yield (text := file.read_text(encoding="utf-8"))
    if not in_script and cls.__module__ != "__main__":
        return
    modules = {cls.__module__}
    for value in list(vars(sys.modules[cls.__module__]).values()):
        yield from _texts_of_neighbours(value, file.parent, modules)
    if audit.READS.search(_outside_methods(text)):
        yield digest(leaves(cls, cls.__name__, cls.__module__))


@lru_cache(maxsize=16)  # a sweep asks for each of its cells
def _outside_methods(text: str) -> str:
    """Return the code without methods, which do not run while a file is loaded."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            methods = ast.FunctionDef | ast.AsyncFunctionDef
            rest = [part for part in node.body if not isinstance(part, methods)]
            node.body = rest or [ast.Pass()]
    return ast.unparse(tree)


def _texts_of_neighbours(value: object, folder: Path, seen: set[str]) -> Iterator[str]:
    """Yield the text of a module in a user's folder, and of what it imports there."""
    own = isinstance(value, ModuleType)
    name = value.__name__ if own else getattr(value, "__module__", None)
    module = sys.modules.get(name) if isinstance(name, str) else None
    path = Path(getattr(module, "__file__", None) or "/").absolute()
    if not path.is_relative_to(folder) or not audit.is_of_user(path) or name in seen:
        return
    if path.suffix == ".py" and not str(name).startswith("heliostat"):
        seen.add(str(name))
        yield path.read_text(encoding="utf-8")
        for part in list(vars(module).values()):
            yield from _texts_of_neighbours(part, folder, seen)


@cache
def _texts_of_file(cls: type) -> tuple[str, ...]:
    """Return the text of a file that was executed for its task, and of its inputs.

    Raises:
        RequestError: if the task differs when the file is executed again.
    """
    text, execution = EXECUTED[cls]
    file = Path(str(execution.module.__file__))
    try:
        check_again(execution, text, file, cls.__name__)
    except RequestError as error:
        raise RequestError(f"{file.name}: {error}") from error
    inputs, decoded = execution.inputs, io.StringIO(text.decode(), None).getvalue()
    if audit.UNSEEN.search(_outside_methods(decoded)):
        inputs = inputs._replace(content=digest(execution.leaves(cls.__name__)))
    return decoded, *([inputs.suffix.decode()] if inputs.suffix else [])


def _named(function: FunctionType, seen: set[str]) -> Iterator[str]:
    """Yield the text of the globals that a function names, recursively."""
    for name in sorted(names(function.__code__) & set(function.__globals__) - seen):
        seen.add(name)
        value = function.__globals__[name]
        own = inspect.unwrap(value) if callable(value) else value
        modules = {str(function.__module__)}
        yield from _texts_of_neighbours(own, Path.cwd(), modules)
        if getattr(own, "__module__", None) != function.__module__:
            own = None
        if isinstance(own, FunctionType):
            yield inspect.getsource(own)
            yield from _named(own, seen)
        elif not isinstance(value, ModuleType):
            yield f"{name} = {re.sub(_ADDRESS, '', repr(value))}"
            if isinstance(own, type) and not issubclass(own, Task):
                yield from _texts_of_class(own, seen)
            elif _is_abridged(value):
                yield digest(leaves(value, name, function.__module__))


def _texts_of_class(cls: type, seen: set[str]) -> Iterator[str]:
    """Yield the text of a class that has methods, and of what they name."""
    methods = [m for m in _written(cls) if m.__module__ == cls.__module__]
    if methods:
        yield _source(cls)
    for method in methods:
        yield from _named(method, seen)


def _is_abridged(value: object) -> bool:
    """Return True for a value that is more than its ``repr`` shows."""
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return False
    import numpy as np  # late: --help needs none

    text, package = repr(value), type(value).__module__.partition(".")[0]
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        whole = repr(value)
    hidden = bool(re.search(_ADDRESS, text)) or "..." in text or text != whole
    return hidden or package in ("pandas", "scipy", "xarray")


def _written(cls: type) -> list[FunctionType]:
    """Return the methods in the source text, without generated ones of dataclasses."""
    methods = filter(inspect.isfunction, vars(cls).values())
    return [m for m in methods if m.__code__.co_filename != "<string>"]


def _source(cls: type) -> str:
    """Return the text of a class, in one thread at a time, with retries.

    Python 3.11 parses the file, and raises SystemError if the process parses anything
    else meanwhile: in another thread, or for a traceback logged in garbage collection.
    """
    with _PARSING:
        for _ in range(_TRIES - 1):
            with suppress(SystemError):
                return _text(cls)
        return _text(cls)


def _text(cls: type) -> str:
    """Return the text of a class; in a notebook, by way of the source of its methods.

    Raises:
        OSError, TypeError: if there is none, as for a class defined at a prompt.
    """
    try:
        return inspect.getsource(cls)
    except (OSError, TypeError):
        written = _written(cls)
        if not written:
            raise
        lines, _ = inspect.findsource(written[0])
        text = "".join(lines)
        try:
            tree = ast.parse(text)
        except SyntaxError:  # a cell with shell lines or magics
            tree = ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                return "".join(lines[first - 1 : node.end_lineno])
        raise


def field_comments(task: type[Task]) -> dict[str, str]:
    """Return the trailing comment of every ``name: type = default`` line of a class."""
    comments: dict[str, str] = {}
    for cls in reversed(task.__mro__):
        if not dataclasses.is_dataclass(cls) or cls is Task:
            continue
        try:
            source = inspect.cleandoc("\n" + _source(cls))
        except (OSError, TypeError):
            continue  # a class defined at a prompt has no comments
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            named = re.match(r"\s*(\w+)\s*:", token.line)
            if token.type == tokenize.COMMENT and named:
                comments[named[1]] = token.string.lstrip("# ").strip()
    return comments
