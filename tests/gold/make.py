"""Make the gold store: ``PYTHONPATH=tests python -m gold.make [FOLDER [NAME ...]]``.

Without a folder, ``store.tar.xz`` and ``expected.json`` are made anew: only where what
is stored has changed on purpose, with the code that the new format begins with.  With
one, all (or the runs and sweeps of some names) is computed into it, as a store and
``expected.json``, to be compared.

Host and command in ``provenance``, which no digest covers, are replaced by neutral
words.  Nothing else is changed after it was computed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gold import runs

import heliostat as hs

NEUTRAL = {"host": "gold", "command": "make.py"}


class Stopping:
    """Progress of a run that asks its driver to stop as soon as something is there."""

    def __init__(self, store: Path) -> None:
        self.store = store

    @contextmanager
    def following(self, record: Any, task: Any, until: int):
        self.id = record.path.name
        yield

    def saw(self, chunk: Any) -> None:
        hs.stop(self.id, store=self.store)

    def told(self, event: str, details: Any) -> None:
        pass


def compute(folder: Path, progress: Any = None, names: Sequence[str] = ()) -> None:
    """Make everything in a folder: ``store`` and ``expected.json``."""
    store = folder / "store"
    named = runs.ask_all(store, progress, names)
    found = runs.described(store, named, runs.ask_sweeps(store, names))
    text = json.dumps(found, indent=1, sort_keys=True)
    (folder / "expected.json").write_text(text + "\n")


def neutralise(store: Path) -> None:
    """Replace the words of provenance that tell of a machine."""
    for file in store.glob("**/record.zarr/zarr.json"):
        text = file.read_text()
        for name, word in NEUTRAL.items():
            text = re.sub(rf'("{name}": )"[^"]*"', rf'\1"{word}"', text)
        file.write_text(text)


def pack(store: Path, archive: Path) -> None:
    """Write one archive that tells of no user and no time."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(archive, "w:xz", preset=9) as made:
        for path in sorted(store.rglob("*")):
            name = path.relative_to(store)
            made.add(path, str(name), recursive=False, filter=plain)


def renew() -> None:
    """Make the archive and ``expected.json`` anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compute(folder, Stopping(folder / "store"))
        neutralise(folder / "store")
        pack(folder / "store", runs.ARCHIVE)
        runs.EXPECTED.write_text((folder / "expected.json").read_text())


if __name__ == "__main__":
    folder, names = sys.argv[1:2], sys.argv[2:]
    folder = [Path(word).absolute() for word in folder]
    os.chdir(runs.HERE)
    if folder:
        compute(*folder, names=names)
    else:
        renew()
