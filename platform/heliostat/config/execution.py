"""Execution of users' files: in modules of their own, with a record of what they read.

A value belongs to the identity of a run if the text of its file fixes it, or the text
and the data files that it reads.  Both are found by executing the file twice, the
second time a second later if it knows a clock, and without environment variables.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import re
import sys
import threading
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from heliostat.config.content import Leaf, difference, digest, leaves
from heliostat.errors import RequestError
from heliostat.system import audit, backend

_CLOCK = re.compile(r"^\s*(import|from)\s.*\b(time|datetime)\b", re.MULTILINE)
_COUNT = itertools.count()
_EXECUTING = threading.RLock()
"""Lock of executions, because the observer of a file is one for the whole process."""


class Inputs(NamedTuple):
    """Data that a file of code reads beside its text, while it is executed.

    Example:
        >>> Inputs().suffix     # of code that reads nothing
        b''
    """

    files: tuple[tuple[str, str], ...] = ()  # path, and SHA-256 of the content
    content: str = ""  # digest of what it defines, if libraries read files unseen

    @property
    def suffix(self) -> bytes:
        """Bytes to hash after the text; files by their names, wherever they are."""
        if self == Inputs():
            return b""
        names = [(Path(path).name, sha256) for path, sha256 in self.files]
        names.sort(key=lambda entry: entry[0])
        return b"\0" + json.dumps([names, self.content]).encode()

    @property
    def paths(self) -> set[Path]:
        """Paths of the files."""
        return {Path(path) for path, _ in self.files}


class Execution(NamedTuple):
    """A file that was executed: its module, and the data files that it opened."""

    module: ModuleType
    inputs: Inputs

    def leaves(self, name: str) -> list[Leaf]:
        """List the content of one object that the file defines."""
        value = look_up(self.module, name)
        return leaves(value, name, self.module.__name__)


EXECUTED: WeakKeyDictionary[type, tuple[bytes, Execution]] = WeakKeyDictionary()
"""Text and execution of the file of each task that was given as ``FILE.py:CLASS``."""


def look_up(module: ModuleType, name: str) -> Any:
    """Return the object of a name, possibly dotted, such as ``Model.log_p``.

    Raises:
        AttributeError: if the module does not define it.
    """
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part)
    return value


def execute(text: str | bytes, file: Path, name: str = "") -> Execution:
    """Execute the text of a file in a new module.

    Args:
        text: text of the file, which need not exist any more.
        file: its absolute path.
        name: name of the module; default one that no import finds.

    Raises:
        Exception: whatever the text raises; the module is removed again.
    """
    module = ModuleType(name or f"heliostat_code_{next(_COUNT)}")
    module.__file__ = str(file)
    before, opened = set(sys.modules), dict[Path, None]()  # in the order of opening
    sys.modules[module.__name__] = module  # dataclasses look up their module
    try:
        with _EXECUTING, audit.observed(str(file), opened.setdefault):
            code = compile(text, str(file), "exec", dont_inherit=True)
            exec(code, vars(module))  # as Python imports it
        _refuse_neighbours(set(sys.modules) - before, file)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return Execution(module, Inputs(_digests(p for p in opened if p != file)))


def inputs_of(text: str | bytes, file: Path, name: str) -> Inputs:
    """Return what an object of a file depends on beside the text, from two executions.

    Args:
        text: text of the file.
        file: its absolute path.
        name: name of the object.

    Raises:
        RequestError: if the second execution gives another object.
        Exception: whatever the text raises.
    """
    with backend.started_on_cpu():
        one = execute(text, file)
        try:
            check_again(one, text, file, name)
        finally:
            del sys.modules[one.module.__name__]
    decoded = text if isinstance(text, str) else text.decode(errors="replace")
    content = digest(one.leaves(name)) if audit.UNSEEN.search(decoded) else ""
    return one.inputs._replace(content=content)


def check_again(one: Execution, text: str | bytes, file: Path, name: str) -> None:
    """Execute a file once more, and compare an object that it defines.

    Args:
        one: the first execution.
        text: text of the file.
        file: its absolute path.
        name: name of the object.

    Raises:
        RequestError: if the object differs.
    """
    if _CLOCK.search(text if isinstance(text, str) else text.decode(errors="replace")):
        time.sleep(1.01 - time.time() % 1)
    two = _execute_elsewhere(text, file)
    del sys.modules[two.module.__name__]
    if place := difference(one.leaves(name), two.leaves(name)):
        raise RequestError(
            f"{place} differs when the file is executed again (random numbers without "
            "a seed, a clock, an environment variable?); give a seed, write the value "
            "into the file, or read it from a data file"
        )


def refuse_reads(file: str, allowed: Iterable[Path], remedy: str) -> audit.Observer:
    """Return an observer that refuses files beside the ``allowed`` ones.

    Files that are written from now on are allowed: they are the code's own.

    Args:
        file: name for the message.
        allowed: absolute paths.
        remedy: end of the message.
    """
    known = {Path(file), *allowed}
    since = time.time() - 0.1  # clocks of disks are coarse

    def refuse(path: Path) -> None:
        if path not in known and path.stat().st_mtime < since:
            raise RequestError(
                f"{Path(file).name} reads {path.name} when it is called, which is not "
                f"part of a run's identity; {remedy}"
            )

    return refuse


def _execute_elsewhere(text: str | bytes, file: Path) -> Execution:
    """Execute a text again, silently, where it finds no environment variables."""
    with contextlib.redirect_stdout(io.StringIO()), _without_environment(str(file)):
        try:
            return execute(text, file)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise RequestError(
                f"it fails when it is executed again, without environment variables: "
                f"{reason}; write what it needs into the file"
            ) from error


@contextlib.contextmanager
def _without_environment(file: str) -> Generator[None]:
    """Hide all environment variables from the code of one file, but not from others."""
    plain: Any = type(os.environ)
    through = (os.__file__, "<frozen os>", "<frozen _collections_abc>")

    class Hidden(plain):
        def __getitem__(self, key: str) -> str:
            frame, sets = sys._getframe(1), False  # pyright: ignore[reportPrivateUsage]
            while frame.f_back and frame.f_code.co_filename in through:
                sets |= frame.f_code.co_name == "setdefault"
                frame = frame.f_back
            if frame.f_code.co_filename == file and not sets:
                raise KeyError(key)
            return super().__getitem__(key)

    os.environ.__class__ = Hidden
    try:
        yield
    finally:
        os.environ.__class__ = plain


def _digests(paths: Iterable[Path]) -> tuple[tuple[str, str], ...]:
    entries = []
    for path in paths:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        entries.append((str(path), sha256))
    return tuple(entries)


def _refuse_neighbours(names: set[str], file: Path) -> None:
    """Refuse code that imports files beside it: their text is in no digest.

    Raises:
        ImportError: if one of the new modules is such a file.
    """
    for name in sorted(names):
        path = Path(getattr(sys.modules.get(name), "__file__", None) or "/").absolute()
        if path == file or name.startswith("heliostat"):
            continue
        path = path.parent if path.name == "__init__.py" else path
        if path.parent in (file.parent, Path.cwd()):
            del sys.modules[name]
            raise ImportError(
                f"it imports {path.name} beside it, which is not part of a run's "
                "identity; put all code into one file, or install that module"
            )
