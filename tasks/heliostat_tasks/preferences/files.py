"""Text files line by line, packed or not; what is wrong is said with its line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import heliostat as hs


@contextmanager
def opened(file: Path) -> Iterator[TextIO]:
    """A text to read, packed by gzip or not; a byte-order mark is no part of it.

    Raises:
        heliostat.RequestError: if it is not there, damaged, or no UTF-8.
    """
    unpacked = gzip.open if file.suffix == ".gz" else open
    try:
        with unpacked(file, "rt", encoding="utf-8-sig") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise hs.RequestError(f"{file} is no UTF-8 text") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise hs.RequestError(f"{file} cannot be read: {reason}") from error


def kind_of(file: Path) -> str:
    """The ending of a file before ``.gz``."""
    return Path(file.stem).suffix if file.suffix == ".gz" else file.suffix


def json_object(file: Path, number: int, line: str) -> Mapping[str, Any]:
    """The object of one line of JSONL.

    Raises:
        heliostat.RequestError: for a line that is none.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise wrong(file, number, "no JSON") from error
    if not isinstance(found, dict):
        raise wrong(file, number, f"a {type(found).__name__}, expected an object")
    return found


def wrong(file: Path, number: int, what: str) -> hs.RequestError:
    """What to raise for a line."""
    return hs.RequestError(f"{file}, line {number}: {what}")
