"""Data files that a user's code reads, seen by Python's audit events.

Whatever opens files through Python is seen: NumPy, pickle, CSV, SQLite.  Libraries that
open files in C (HDF5, Arrow) are not; see ``UNSEEN``.
"""

from __future__ import annotations

import inspect
import linecache
import os
import re
import stat
import sys
import sysconfig
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from heliostat.system.cache import cache_folder

UNSEEN = re.compile(
    r"\b(h5py|netCDF4|h5netcdf|pyarrow|read_(parquet|feather|hdf|orc)|polars|zarr|"
    r"(open|load)_(dataset|dataarray|zarr|datatree)|safetensors|mmread|"
    r"subprocess|popen|urlopen|urlretrieve|httpx|argv|getcwd|cpu_count|gethostname|"
    r"(listdir|scandir|r?i?glob|iterdir|exists|getmtime|requests\.get|"
    r"(?<=os\.)walk|cwd|today|(?<=\.)now)(?=\())\b"
)
"""Words of libraries whose reads raise no event, and of values that no file fixes."""

READS = re.compile(
    rf"{UNSEEN.pattern}|(?<!hs\.)\bopen\(|\b(read_\w+|(np|numpy|jnp|json|pickle|yaml|"
    r"tomllib|joblib|torch|xr)\.load\w*|loadtxt|loadmat|genfromtxt|fromfile|memmap|"
    r"sqlite3|environ|getenv|argparse|(np|numpy)\.random\.(?!seed|default_rng\(\d)\w+)\b"
)
"""Words of values that are not fixed by the text of a file that Python imports."""

Observer = Callable[[Path], None]

_OBSERVERS: dict[str, Observer] = {}
"""Observer of the reads of a user's code, by the file name in the code's frames."""


@contextmanager
def observed(code: str, observer: Observer) -> Generator[None]:
    """Call ``observer`` with every data file that code of one file opens meanwhile.

    An exception of the observer ends the attempt to open the file.

    Args:
        code: file name of the code, as its frames have it.
        observer: called with the absolute path.
    """
    before = _OBSERVERS.get(code)
    observe(code, observer)
    try:
        yield
    finally:
        if before is None:
            del _OBSERVERS[code]
        else:
            _OBSERVERS[code] = before


def observe(code: str, observer: Observer) -> None:
    """Call ``observer`` with every data file that code of one file opens from now."""
    _install()
    _OBSERVERS[code] = observer


@cache
def _install() -> None:
    """Install the hook of this process; Python cannot remove it again."""
    sys.addaudithook(_on_event)


def _on_event(event: str, args: tuple[Any, ...]) -> None:
    if event not in ("open", "sqlite3.connect") or not _OBSERVERS:
        return
    path = args[0]
    if not isinstance(path, str | bytes | os.PathLike) or _writes(event, args):
        return
    if observer := _observer_of(inspect.currentframe()):
        file = Path(os.path.abspath(os.fsdecode(path)))
        if is_of_user(file):
            observer(file)


def _writes(event: str, args: tuple[Any, ...]) -> bool:
    flags = args[2] if event == "open" and isinstance(args[2], int) else 0
    return bool(flags & os.O_TRUNC) or flags & os.O_ACCMODE == os.O_WRONLY


def _observer_of(frame: FrameType | None) -> Observer | None:
    """Return the observer of the innermost code that has one, unless it imports."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name in _OBSERVERS:
            return _OBSERVERS[name]
        if name.startswith("<frozen importlib") or name == linecache.__file__:
            return None
        frame = frame.f_back
    return None


def is_of_user(file: Path) -> bool:
    """Return True for a regular file that belongs to no library, cache or system."""
    try:
        regular = stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return False
    if not regular or "__pycache__" in file.parts:
        return False
    hidden = file.is_relative_to(home := Path.home()) and (
        file.relative_to(home).parts[0].startswith(".")
    )
    return not hidden and not any(map(file.is_relative_to, _folders_of_libraries()))


def _folders_of_libraries() -> list[str]:
    paths = sysconfig.get_paths()
    names = [sys.prefix, sys.base_prefix, *(paths[n] for n in ("stdlib", "purelib"))]
    caches = [str(cache_folder()), os.environ.get("JAX_COMPILATION_CACHE_DIR", "")]
    return ["/proc", "/sys", "/etc", "/usr", *filter(None, names + caches)]
