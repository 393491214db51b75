"""Checkpoints: kept states of a run as ``.npz`` files.

A file has the named arrays of a state, uncompressed and without pickle, and behind them
its SHA-256: ``np.load`` reads it as it is, and :meth:`Checkpoints.load` notices any
damaged byte.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from heliostat.errors import StoreError
from heliostat.loop.state import NamedArrays
from heliostat.store.damage import as_store_error


class Checkpoints:
    """The kept states of one run: ``block-0000/00000100.npz``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, block: int, step: int, state: NamedArrays) -> None:
        """Write the state of a block after ``step``, whole or not at all."""
        target = self._path(block, step)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")  # renamed once it is complete
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
        """Return the state of a block after ``step``.

        Raises:
            StoreError: naming the file, if it is missing or damaged.
        """
        path = self._path(block, step)
        if not path.is_file():
            raise StoreError(f"{path}: this state is missing")
        with as_store_error(f"{path}: this state"):
            content = path.read_bytes()
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise StoreError(f"{path}: this state is damaged")
        with (
            as_store_error(f"{path}: this state"),
            np.load(io.BytesIO(content[:-32]), allow_pickle=False) as stored,
        ):
            return {name: stored[name] for name in stored.files}

    def steps(self, block: int) -> list[int]:
        """Return the steps whose states are kept, in ascending order."""
        names = (p.stem for p in self._path(block, 0).parent.glob("*.npz"))
        return sorted(int(name) for name in names if re.fullmatch("[0-9]{9,}", name))

    def drop(self, block: int, steps: Iterable[int]) -> None:
        """Remove the states after some steps."""
        for step in steps:
            self._path(block, step).unlink(missing_ok=True)

    def thin(
        self, block: int, stride: int, kept: int, ends: Collection[int] = ()
    ) -> None:
        """Drop states until ``kept`` are left, those with the nearest neighbours first.

        The first, the last and the last on a multiple of the stride stay: replays start
        from the first, resuming from the last, extending from the last full stride.
        Those of ``ends`` stay besides, and do not count: a run of such a length, asked
        for again, needs its last state.
        """
        steps = self.steps(block)
        anchor = max((s for s in steps if s % stride == 0), default=0)
        stay = {anchor, *ends}
        kept += len(set(ends) & set(steps[1:-1]) - {anchor})
        while len(steps) > kept:
            inner = [i for i in range(1, len(steps) - 1) if steps[i] not in stay]
            least = min(inner, key=lambda i: steps[i + 1] - steps[i - 1])
            self.drop(block, [steps.pop(least)])

    def _path(self, block: int, step: int) -> Path:
        return self.folder / f"block-{block:04d}" / f"{step:09d}.npz"
