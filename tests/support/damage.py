"""Damage of files in a store, and the readers of a store."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import xarray as xr
from support import toy_tasks
from support.toy_tasks import HERE

import heliostat as hs
from heliostat import cli

CONTENTS = {"noise": b"\xff\x00\x80", "list": b"[]", "object": b"{}", "null": b"null"}
CONTENTS["deep"] = b"[" * 5000
"""Contents that replace a file, by the kind of damage."""

KINDS = ("deleted", "emptied", "cut", "flipped", *CONTENTS)


class Damage(NamedTuple):
    """Damage of one file.

    Args:
        name: path of the file in the store.
        kind: one of ``KINDS``.
        place: position of the cut, in bytes, or of the flipped bit.
    """

    name: str
    kind: str
    place: int = 0

    def apply(self, store: Path) -> None:
        """Damage the file of a store; it becomes another file, as a store's own do."""
        file = store / self.name
        content = file.read_bytes()
        file.unlink()
        if self.kind != "deleted":
            file.write_bytes(self._damaged(content))

    def _damaged(self, content: bytes) -> bytes:
        if self.kind == "cut":
            return content[: self.place % max(1, len(content))]
        if self.kind == "flipped" and content:
            byte, bit = divmod(self.place % (8 * len(content)), 8)
            return (
                content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]
            )
        return CONTENTS.get(self.kind, b"")


class Stored(NamedTuple):
    """Store with a run, and with a sweep whose cells are a pack."""

    store: Path
    run: str
    cell: str
    sweep: str

    def files(self) -> list[str]:
        """Return the paths of all files in the store."""
        paths = (path for path in self.store.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.store)) for path in paths)

    def copy(self, store: Path) -> Stored:
        """Return a copy in another folder, in place of what is there."""
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(self.store, store)
        return self._replace(store=store)

    def id_of(self, name: str) -> str:
        """Return the run that a file belongs to."""
        return self.run if name.startswith("walk/") else self.cell


def create(store: Path, walk: hs.Run) -> Stored:
    """Create a store with a run and a sweep."""
    shutil.copytree(walk.path, store / "walk" / walk.id)
    over = {"sigma": [0.5, 1.0]}
    task = toy_tasks.Tuned(chains=3)
    sweep = hs.sweep(task, over=over, steps=20, on="here", store=store, progress=False)
    return Stored(store, walk.id, sweep.cells[1].id, sweep.id)


COMMANDS: dict[str, tuple[str, ...]] = {
    "runs": (),
    "show": ("RUN",),
    "logs": ("RUN",),
    "plot": ("RUN", "x", "-o", "x.png"),
    "export": ("RUN", "-o", "x.nc"),
    "verify": ("RUN", "--segments", "0", *HERE),
    "resume": ("RUN", *HERE),
    "show a sweep": ("SWEEP",),
    "plot a sweep": ("SWEEP", "x", "-o", "x.png"),
}
"""Command lines that read a store."""


def call_command(name: str, stored: Stored, run: str) -> tuple[int, str, str]:
    """Return exit status, output and messages of a command line."""
    replaced = {"RUN": run, "SWEEP": stored.sweep}
    folder = stored.store.parent
    words = [replaced.get(word, word) for word in COMMANDS[name]]
    words = [str(folder / w) if w.startswith("x.") else w for w in words]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        line = (name.partition(" ")[0], *words, "--store", str(stored.store))
        status = cli.main(line)
    return status, out.getvalue(), err.getvalue()


def _read_run(stored: Stored, run: str) -> None:
    opened = hs.open(run, store=stored.store)
    for read in (lambda: opened.rows.load(), lambda: opened.observed.load()):
        read()
    opened.state()
    opened.events()
    assert repr(opened)


def _read_sweep(stored: Stored, run: str) -> None:
    sweep = hs.open_sweep(stored.sweep, store=stored.store)
    sweep.dataset.load()
    assert repr(sweep) and len(sweep.table)


PYTHON: dict[str, Callable[[Stored, str], object]] = {
    "hs.open": _read_run,
    "hs.open_sweep": _read_sweep,
    "hs.runs": lambda stored, run: hs.runs(store=stored.store),
}
"""Functions that read a store."""


def same_science(first: hs.Run, second: hs.Run) -> bool:
    """Return True if all that a verdict binds is the same in two runs."""
    pairs = zip(_tables(first), _tables(second), strict=True)
    return first.spec == second.spec and all(
        a.equals(b) and _units(a) == _units(b) for a, b in pairs
    )


def _tables(run: hs.Run) -> Iterator[xr.Dataset]:
    yield run.rows.load()
    yield run.observed.load()


def _units(table: xr.Dataset) -> dict[str, object]:
    return {str(name): array.attrs.get("units") for name, array in table.items()}
