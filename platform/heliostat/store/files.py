"""JSON files and commit markers, read again only when they have changed.

A store replaces its files and never writes into them, so a file with the same inode,
time and size has the same content.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd

MARKERS = "committed"
"""Name of the array of commit markers."""

MOST_MARKERS = 10_000_000
"""Largest number of markers that a record is believed to have."""

MISSING = -1
"""Value of a commit marker whose file is missing: the fill value of the array."""

_Version = tuple[int, int, int]


class JsonFile:
    """JSON file that is parsed again only when it has changed.

    Args:
        parse: makes the content of the bytes, and may refuse it.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], Any] = json.loads) -> None:
        self._path, self._parse = str(path), parse
        self._version: _Version | None = None
        self._content: Any = None

    def read(self) -> Any:
        """Return the content, which all callers share: leave it as it is.

        Raises:
            OSError: if the file cannot be read.
            ValueError, StoreError: if it is no JSON, or refused.
        """
        version = _version(self._path)
        if version != self._version:
            self._content = self._parse(Path(self._path).read_bytes())
            self._version = version
        return self._content


class Markers:
    """Commit markers of a record, ``(cells?, blocks)`` int64.

    Opening them with zarr takes 20 times as long, for a few bytes of each of thousands
    of runs.
    """

    def __init__(self, store: Path) -> None:
        self.shape = _parse_shape((store / MARKERS / "zarr.json").read_bytes())
        chunks = store.joinpath(MARKERS, "c", *["0"] * (len(self.shape) - 1))
        self._files = [f"{chunks}/{block}" for block in range(self.shape[-1])]
        self._versions: list[_Version | None] = []
        self._steps = np.empty(0, np.int64)

    def read(self) -> np.ndarray:
        """Return the steps that each block has committed; leave the array as it is.

        Raises:
            OSError: if they cannot be read.
            ValueError: if their checksum or their size is wrong.
        """
        versions = [_version_if_any(file) for file in self._files]
        if versions != self._versions:
            steps = np.full(self.shape, MISSING, np.int64)
            for block, file in enumerate(self._files):
                if versions[block]:
                    stored = _decode(Path(file).read_bytes())
                    steps[..., block] = stored.reshape(self.shape[:-1])
            self._steps, self._versions = steps, versions
        return self._steps


def _version(file: str) -> _Version:
    stat = os.stat(file)
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _version_if_any(file: str) -> _Version | None:
    try:
        return _version(file)
    except FileNotFoundError:
        return None


def _parse_shape(content: bytes) -> tuple[int, ...]:
    """Return the shape of the markers from their metadata.

    Raises:
        ValueError: for others than ``(cells?, blocks)`` int64.
    """
    array = json.loads(content)
    shape, dtype = array["shape"], array["data_type"]
    sizes = [n for n in shape if isinstance(n, int) and n > 0]
    known = sizes == shape and len(shape) in (1, 2) and dtype == "int64"
    if not known or math.prod(shape) > MOST_MARKERS:
        raise ValueError(f"{dtype!r:.20} of shape {shape!r:.40}")
    return tuple(shape)


def _decode(content: bytes) -> np.ndarray:
    """Decode one zarr chunk of markers: zstd, and behind it its checksum.

    Raises:
        ValueError: if they are damaged, or are no numbers of steps.
    """
    checksum = int.from_bytes(content[-4:], "little")
    if google_crc32c.value(content[:-4]) != checksum:
        raise ValueError("the checksum differs")
    steps = np.frombuffer(Zstd().decode(content[:-4]), "<i8")
    if (steps < 0).any():
        raise ValueError(f"{steps.min()} steps")
    return steps
