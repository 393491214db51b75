"""Data as fixed-width records of bytes: the standard library, digits, or a folder.

A record has ``length + 1`` bytes: of text, or ``length`` features and a label. A
transcript carries its records, because the sources of the standard library differ
between versions of Python.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

import heliostat as hs
from heliostat.kernels import merkle
from heliostat_tasks.provenance.models import CLASSES, Architecture

RECORDS_PER_LEAF = 256
"""Records in one leaf of the tree that commits them."""

SKIPPED = {"test", "tests", "idle_test", "site-packages", "lib2to3", "__pycache__"}
"""Folders of the standard library that are left out."""


def read_records(
    file: hs.File | None, architecture: Architecture, held_out: int, batch: int
) -> UInt8[np.ndarray, "n width"]:
    """Read the records that a model trains on.

    Args:
        file: bytes of records; None reads the model's default data.
        architecture: architecture of the model; its length gives the width of a record.
        held_out: number of records that are never trained on.
        batch: number of records in a step.

    Returns:
        (n, length + 1) uint8.

    Raises:
        ValueError: for a file of other records, or with too few.
    """
    model, width = architecture.model, architecture.length + 1
    raw = _read(file) if file else _default(model)
    if file is None and model == "mlp" and width != 65:
        raise ValueError(f"length {width - 1}: the digits have 64 features")
    if file is None and model == "tiny-lm":
        raw = raw[: len(raw) // width * width]
    if len(raw) % width:
        raise ValueError(f"records: {len(raw)} bytes are no multiple of {width}")
    records = np.frombuffer(raw, np.uint8).reshape(-1, width)
    if len(records) < held_out + batch:
        raise ValueError(
            f"records: there are {len(records)}, expected at least "
            f"{held_out + batch}: held_out and a batch"
        )
    if model == "mlp" and records[:, -1].max() >= CLASSES:
        raise ValueError(f"records: a label is {records[:, -1].max()}, of {CLASSES}")
    return records


def merkle_root(records: UInt8[np.ndarray, "n width"]) -> bytes:
    """Compute the Merkle root of records, ``RECORDS_PER_LEAF`` in a leaf."""
    return merkle.root(merkle_leaves(records))


def merkle_leaves(records: UInt8[np.ndarray, "n width"]) -> list[bytes]:
    """Hash records to the leaves of their tree."""
    steps = range(0, len(records), RECORDS_PER_LEAF)
    return [merkle.leaf(records[i : i + RECORDS_PER_LEAF].tobytes()) for i in steps]


def digest(records: UInt8[np.ndarray, "n width"]) -> str:
    """SHA-256 of records, which stands for them where no file is named."""
    return "sha256:" + hashlib.sha256(records.tobytes()).hexdigest()


def read_folder(path: Path) -> bytes:
    """Join all regular files below a folder, in the order of their names.

    Raises:
        RequestError: for a missing or an empty folder.
    """
    if not path.is_dir():
        raise hs.RequestError(f"data {path}: expected a folder of files")
    files = (f for f in path.rglob("*") if f.is_file() and not f.is_symlink())
    text = _join(sorted(files))
    if not text:
        raise hs.RequestError(f"data {path}: there is nothing in it")
    return text


@lru_cache(maxsize=2)
def _default(model: str) -> bytes:
    if model == "tiny-lm":
        top = Path(sysconfig.get_path("stdlib"))
        every = sorted(f.relative_to(top) for f in top.rglob("*.py"))
        files = [top / f for f in every if not SKIPPED & {*f.parts[:-1]}]
        return _join(files)
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    features = (digits.data * 15).astype(np.uint8)  # 0 … 16 to 0 … 240
    labels = digits.target.astype(np.uint8)[:, None]
    return np.concatenate([features, labels], axis=1).tobytes()


def _join(files: Iterable[Path]) -> bytes:
    return b"\n".join(f.read_bytes() for f in files)


def _read(file: hs.File) -> bytes:
    try:
        return file.path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"records {file} cannot be read: {reason}") from error
