"""A stored run: its rows, states, headline and log, whoever computed it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import xarray as xr

from heliostat import config, lock
from heliostat.errors import RequestError, StoreError
from heliostat.record import Record
from heliostat.task import Estimate, Task


def store_folder(store: str | Path | None = None) -> Path:
    """The folder of a store as it was given; else ``$HELIOSTAT_STORE``, ``./runs``.

    Raises:
        RequestError: for a URL.
    """
    given = str(store or os.environ.get("HELIOSTAT_STORE") or "runs")
    if "://" in given:
        raise RequestError(
            f"store '{given}': expected a folder; object stores are not supported yet"
        )
    return Path(given).expanduser()


class Run:
    """One stored run, complete or not: its rows, states, headline and log.

    Example:
        >>> run = hs.open("3f9a2c81")                      # doctest: +SKIP
        >>> run.headline["energy"], run.rows.energy.plot()  # doctest: +SKIP
    """

    def __init__(self, path: Path, task: Task | None = None, limit: int | None = None):
        self.record = Record(path)
        self.spec = self.record.spec
        self._task, self._limit = task, limit

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def path(self) -> Path:
        return self.record.path

    @property
    def task(self) -> Task:
        """The task, rebuilt from the stored spec.

        Raises:
            RequestError: if the task is not installed here.
        """
        if self._task is None:
            self._task = config.rebuild(self.spec)
        return self._task

    @property
    def status(self) -> str:
        """``complete``, ``running``, ``stopped``, ``interrupted`` or ``failed``."""
        stored = self.record.attrs.get("status", "created")
        if stored in ("created", "running") and not lock.holder(self.path):
            return "interrupted"
        return stored

    @property
    def steps(self) -> int:
        """How far the run has come; every block has at least these steps."""
        return min(self.record.steps, self._limit or sys.maxsize)

    @property
    def rows(self) -> xr.Dataset:
        """Its rows, opened lazily: dims replica (if there are several), step, …"""
        rows = self.record.rows()
        dim = self.record.attrs["step_dim"]
        return rows.isel({dim: slice(0, self._limit)}) if dim in rows.dims else rows

    @property
    def headline(self) -> dict[str, Estimate]:
        """What the run found: name -> value, error, units, source."""
        stored = self.record.attrs.get("headline")
        if self._limit is None and stored and self.status != "running":
            return {name: _estimate(*entry) for name, entry in stored.items()}
        if not self.steps:
            return {}
        return dict(self.task.headline(self.rows.load()))

    def state(self, step: int = -1, replica: int = 0) -> Any:
        """The state of a replica at a kept step, as the task's own pytree.

        Args:
            step: one of :meth:`kept`; -1 is the last.

        Raises:
            RequestError: if no state of that step is kept, naming the nearest.
        """
        from heliostat.unfold import Loop, precision

        block = replica // self.task.width
        kept = self.kept(block)
        if step == -1 and self._limit:
            step = self._limit  # of the beginning of a longer run
        elif step < 0 and -step <= len(kept):
            step = kept[step]
        if step not in kept:
            near = min(kept, key=lambda s: abs(s - step), default=None)
            raise RequestError(
                f"no state of step {step} is kept; the nearest is {near}"
            )
        stored = self.record.checkpoints.load(block, step)
        with precision(self.spec.identity["x64"]):
            loop = Loop(self.task, self.spec.identity["seed"])
            return loop.replica(replica, stored)

    def kept(self, block: int = 0) -> list[int]:
        """The steps of which states are kept."""
        come = min(int(self.record.committed[block]), self._limit or sys.maxsize)
        return [s for s in self.record.checkpoints.steps(block) if s <= come]

    def events(self) -> list[dict[str, Any]]:
        return self.record.log.events()

    def export(self, path: str | Path) -> Path:
        """Write rows and provenance to one netCDF-4 file.

        Raises:
            StoreError: if the file cannot be written.
        """
        rows = self.rows.load()
        rows.attrs = {
            name: value if isinstance(value, int | float | str) else json.dumps(value)
            for name, value in {**rows.attrs, "id": self.id}.items()
        }
        try:
            rows.to_netcdf(path, engine="h5netcdf")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error}") from error
        return Path(path)

    def __repr__(self) -> str:
        lines = [f"Run {self.id} ({self.spec.identity['task']}): {self.status}"]
        planned = self.record.attrs.get("steps", self.steps)
        lines.append(f"  {self.steps} of {planned} steps in {self.path}")
        lines += [f"  {name} = {value}" for name, value in self.headline.items()]
        return "\n".join(lines)


def _estimate(value: float | None, error: float | None, *more: str) -> Estimate:
    """From JSON, where what is no number is null."""
    nan = float("nan")
    return Estimate(
        nan if value is None else value, nan if error is None else error, *more
    )


def open_run(
    run: str, *, store: str | Path | None = None, task: type[Task] | None = None
) -> Run:
    """A stored run by its id, or by the first digits of it.

    Raises:
        RequestError: if there is none, or if several begin like this.
        StoreError: if what is stored is damaged.
    """
    return as_run(run, store, task)


def find(run: str, store: str | Path | None = None) -> Path:
    """The folder of a run, by the first digits of its id."""
    root = store_folder(store)
    digits = run.rpartition("/")[2]
    found = [p for p in root.glob(f"*/{digits}*") if (p / "spec.json").exists()]
    if not digits or not found or set(digits) - set("0123456789abcdef"):
        raise RequestError(f"no run '{run}' in {root}; `heliostat runs` lists them")
    if len(found) > 1:
        names = ", ".join(sorted(p.name for p in found))
        raise RequestError(f"'{run}' is short for several runs: {names}")
    return found[0]


def as_run(
    run: str | Run, store: str | Path | None, task: type[Task] | None = None
) -> Run:
    if isinstance(run, Run):
        return run
    found = Run(find(run, store))
    if task is not None:
        found._task = config.rebuild(found.spec, task)
    return found
