"""States at chunk edges, and the digest chain that makes a run verifiable.

One chain per block of replicas, one link per stride::

    link(0) = H(genesis, block)                    genesis = H(canonical spec)
    link(i) = H(link(i-1), step, H(state), H(rows))

A state is a flat table of named arrays, saved as an uncompressed ``.npz`` without
pickle, with the SHA-256 of the file behind it: ``np.load`` reads it as it is, and any
damaged byte is noticed here.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from heliostat.errors import StoreError

State = Mapping[str, np.ndarray]


class Stride(NamedTuple):
    """The digests of one stride of one block."""

    stop: int  # the step it ends with
    state: bytes  # (32,) SHA-256 of the state after that step
    rows: bytes  # (32,) SHA-256 of the rows of its steps, and of what was observed


def digest(arrays: State) -> bytes:
    """SHA-256 over the names, types, shapes and bytes of named arrays.

    It does not depend on how the arrays were split over workers or devices, nor on the
    machine's byte order.
    """
    return digests({name: np.asarray(arrays[name])[None] for name in arrays}, 1)[0]


def digests(arrays: State, count: int) -> list[bytes]:
    """The :func:`digest` of each entry along the leading axis of all arrays."""
    hashes = [hashlib.sha256() for _ in range(count)]
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        kind, payloads = _payloads(array)
        head = f"{name}|{kind}|{array.shape[1:]}|"
        for h, payload in zip(hashes, payloads, strict=True):
            h.update(f"{head}{len(payload)}|".encode())
            h.update(payload)
    return [h.digest() for h in hashes]


def _payloads(array: np.ndarray) -> tuple[str, list[bytes]]:
    """Type, and the bytes of each entry along the leading axis."""
    if array.dtype.kind in "OTU":  # text: each with its length before it
        texts = [[str(v).encode() for v in np.ravel(entry)] for entry in array]
        return "str", [
            b"".join(len(t).to_bytes(8, "big") + t for t in parts) for parts in texts
        ]
    array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return array.dtype.str, [entry.tobytes() for entry in array]


def rows_digest(rows: State, observed: State) -> bytes:
    """The digest of a stride: over its rows, and over what was observed at its end."""
    return digest(together(rows, observed))


def together(rows: State, observed: State) -> State:
    """Rows and what was observed as one table, whose names are never the same."""
    return {**rows, **{f"observed.{n}": v for n, v in observed.items()}}


def first_link(genesis: str, block: int) -> bytes:
    return hashlib.sha256(f"{genesis}|{block}".encode()).digest()


def next_link(previous: bytes, stride: Stride) -> bytes:
    step = stride.stop.to_bytes(8, "big")
    return hashlib.sha256(previous + step + stride.state + stride.rows).digest()


class Checkpoints:
    """The kept states of one run: ``block-0000/00000100.npz``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, block: int, step: int, state: State) -> None:
        """Write a state under a temporary name, then rename it: there or not there."""
        target = self._path(block, step)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        content = io.BytesIO()
        np.savez(
            content, allow_pickle=False, **{k: np.asarray(state[k]) for k in state}
        )
        with partial.open("wb") as stream:
            stream.write(content.getbuffer())
            stream.write(hashlib.sha256(content.getbuffer()).digest())
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)

    def load(self, block: int, step: int) -> dict[str, np.ndarray]:
        """The state of a block after ``step``.

        Raises:
            StoreError: naming the file, if it is missing or damaged.
        """
        path = self._path(block, step)
        try:
            content = path.read_bytes()
        except OSError as error:
            reason = error.strerror
            raise StoreError(f"{path}: this state is missing ({reason})") from error
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise StoreError(f"{path}: this state is damaged")
        with np.load(io.BytesIO(content[:-32]), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def steps(self, block: int) -> list[int]:
        """The steps whose states are kept, in ascending order."""
        return sorted(int(p.stem) for p in self._path(block, 0).parent.glob("*.npz"))

    def drop(self, block: int, steps: Iterable[int]) -> None:
        for step in steps:
            self._path(block, step).unlink(missing_ok=True)

    def thin(self, block: int, stride: int, kept: int) -> None:
        """Drop until ``kept`` are left: each time the one whose neighbours are nearest.

        The first, the last and the last on a multiple of the stride stay: replays start
        from the first, resuming from the last, extending from the last full stride.
        """
        steps = self.steps(block)
        anchor = max((s for s in steps if s % stride == 0), default=0)
        while len(steps) > kept:
            inner = [i for i in range(1, len(steps) - 1) if steps[i] != anchor]
            least = min(inner, key=lambda i: steps[i + 1] - steps[i - 1])
            self.drop(block, [steps.pop(least)])

    def _path(self, block: int, step: int) -> Path:
        return self.folder / f"block-{block:04d}" / f"{step:09d}.npz"
