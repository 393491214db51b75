"""Text files read line by line, compressed or not; errors name file and line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import heliostat as hs


@contextmanager
def open_text(file: Path) -> Generator[TextIO]:
    """Open UTF-8 text, gzipped or not, without its byte-order mark.

    Raises:
        heliostat.RequestError: if the file is missing, damaged, or not UTF-8.
    """
    open_file = gzip.open if file.suffix == ".gz" else open
    try:
        with open_file(file, "rt", encoding="utf-8-sig") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise hs.RequestError(f"{file} is no UTF-8 text") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise hs.RequestError(f"{file} cannot be read: {reason}") from error


def inner_suffix(file: Path) -> str:
    """The suffix of a file before ``.gz``.

    Example:
        >>> inner_suffix(Path("a.csv.gz")), inner_suffix(Path("a.csv"))
        ('.csv', '.csv')
    """
    return Path(file.stem).suffix if file.suffix == ".gz" else file.suffix


def json_object(file: Path, number: int, line: str) -> Mapping[str, Any]:
    """Parse the object of one line of JSONL.

    Raises:
        heliostat.RequestError: if the line is not a JSON object.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise line_error(file, number, "no JSON") from error
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise line_error(file, number, f"a {kind}, expected an object")
    return value


def line_error(file: Path, number: int, reason: str) -> hs.RequestError:
    """The error of one line of a file."""
    return hs.RequestError(f"{file}, line {number}: {reason}")
