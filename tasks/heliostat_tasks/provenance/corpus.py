"""Data as fixed-width records of bytes: from the standard library, digits, or a folder.

A record is what one position of a batch sees: ``length + 1`` bytes of text, or
``length`` features and a label.  A transcript carries its records, since the sources of
the standard library differ from one Python to the next.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import heliostat as hs
from heliostat.kernels import merkle
from heliostat_tasks.provenance.models import CLASSES

if TYPE_CHECKING:
    from heliostat_tasks.provenance.task import Provenance

TOGETHER = 256
"""Records in one leaf of the tree that commits them."""

SKIPPED = {"test", "tests", "idle_test", "site-packages", "lib2to3", "__pycache__"}


def records_of(task: Provenance) -> np.ndarray:
    """The records of a task, (n, length + 1) uint8.

    Raises:
        ValueError: for a file that does not hold such records, or too few of them.
    """
    width = task.length + 1
    raw = _read(task.records) if task.records else _default(task.model)
    if task.records is None and task.model == "mlp" and width != 65:
        raise ValueError(f"length {task.length}: the digits have 64 features")
    if task.records is None and task.model == "tiny-lm":
        raw = raw[: len(raw) // width * width]
    if len(raw) % width:
        raise ValueError(f"records: {len(raw)} bytes are no multiple of {width}")
    records = np.frombuffer(raw, np.uint8).reshape(-1, width)
    if len(records) < task.held_out + task.batch:
        raise ValueError(
            f"records: there are {len(records)}, expected at least "
            f"{task.held_out + task.batch}: held_out and a batch"
        )
    if task.model == "mlp" and records[:, -1].max() >= CLASSES:
        raise ValueError(f"records: a label is {records[:, -1].max()}, of {CLASSES}")
    return records


def root_of(records: np.ndarray) -> bytes:
    """The Merkle root of records, ``TOGETHER`` in a leaf."""
    return merkle.root(leaves_of(records))


def leaves_of(records: np.ndarray) -> list[bytes]:
    steps = range(0, len(records), TOGETHER)
    return [merkle.leaf(records[i : i + TOGETHER].tobytes()) for i in steps]


def folder(path: Path) -> bytes:
    """All regular files below a folder, in the order of their names, one after another.

    Raises:
        RequestError: if there is no such folder, or nothing in it.
    """
    if not path.is_dir():
        raise hs.RequestError(f"data {path}: expected a folder of files")
    files = (f for f in path.rglob("*") if f.is_file() and not f.is_symlink())
    text = _joined(sorted(files))
    if not text:
        raise hs.RequestError(f"data {path}: there is nothing in it")
    return text


def digest_of(task: Provenance) -> str:
    """SHA-256 of the records that a task trains on where it names no file."""
    return "sha256:" + hashlib.sha256(records_of(task).tobytes()).hexdigest()


@lru_cache(maxsize=2)
def _default(model: str) -> bytes:
    if model == "tiny-lm":
        top = Path(sysconfig.get_path("stdlib"))
        every = sorted(f.relative_to(top) for f in top.rglob("*.py"))
        files = [top / f for f in every if not SKIPPED & {*f.parts[:-1]}]
        return _joined(files)
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    features = (digits.data * 15).astype(np.uint8)  # 0 … 16 to 0 … 240
    labels = digits.target.astype(np.uint8)[:, None]
    return np.concatenate([features, labels], axis=1).tobytes()


def _joined(files: Iterable[Path]) -> bytes:
    return b"\n".join(f.read_bytes() for f in files)


def _read(file: hs.File) -> bytes:
    try:
        return file.path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"records {file} cannot be read: {reason}") from error
