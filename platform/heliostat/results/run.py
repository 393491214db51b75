"""A stored run: its rows, states, headline and log, whoever computed it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from heliostat import config
from heliostat.config.code import Code
from heliostat.errors import RequestError, StoreError
from heliostat.loop.work import block_count
from heliostat.results.goal import GoalOutcome
from heliostat.store import lock
from heliostat.store.index import cell_paths, open_record
from heliostat.store.record import Record
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

    def __init__(
        self,
        path: Path,
        task: Task | None = None,
        limit: int | None = None,
        until: GoalOutcome | None = None,
        record: Record | None = None,
    ):
        self.record = record or open_record(path)
        self.spec = self.record.spec
        self._task, self._limit, self._until = task, limit, until

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
        return status_of(self.record, self.record.attrs)

    @property
    def steps(self) -> int:
        """How far the run has come; every block has at least these steps."""
        return min(self.record.steps, self._limit or sys.maxsize)

    @property
    def until(self) -> GoalOutcome | None:
        """The condition that it was asked to come to, and whether that held."""
        stored = self.record.attrs.get("until") if self._limit is None else None
        return self._until or (GoalOutcome(**stored) if stored else None)

    @property
    def rows(self) -> xr.Dataset:
        """Its rows, opened lazily: dims replica (if there are several), step, …"""
        return self._cut(self.record.rows(), self._limit)

    @property
    def observed(self) -> xr.Dataset:
        """What its task observes at every multiple of the stride, opened lazily."""
        stride = self.spec.identity["stride"]
        limit = None if self._limit is None else self._limit // stride
        return self._cut(self.record.observed(), limit)

    @property
    def tree(self) -> xr.DataTree:
        """Rows as the groups that the task makes of them, and what it observes.

        Their attributes are numbers and texts, so that netCDF can hold them.
        """
        groups = dict(self.task.tree(self.rows))
        if len(observed := self.observed):
            groups.setdefault("observed", observed)
        for name, group in groups.items():
            groups[name] = group.copy()
            groups[name].attrs = netcdf_attrs(group.attrs)
        return xr.DataTree.from_dict(groups)

    def _cut(self, data: xr.Dataset, entries: int | None) -> xr.Dataset:
        dim = self.record.attrs["step_dim"]
        return data.isel({dim: slice(0, entries)}) if dim in data.dims else data

    @property
    def headline(self) -> dict[str, Estimate]:
        """What the run found: name -> value, error, units, source."""
        stored = self.record.attrs.get("headline")
        if self._limit is None and stored is not None and self.status != "running":
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
        block = replica // self.task.width
        step = self.resolve_step(step, self.kept(block))
        stored = self.record.checkpoints.load(block, step)
        return self._with_loop(lambda loop: loop.replica_state(replica, stored))

    def states(self, step: int = -1) -> Any:
        """The states of all replicas at a kept step, along a leading axis of replicas.

        Args:
            step: one that every block has kept; -1 is the last.

        Returns:
            The task's own pytree, of numpy arrays; of untraced tasks a list.

        Raises:
            RequestError: if no state of that step is kept, naming the nearest.
        """
        blocks = range(block_count(self.task))
        common = sorted(set.intersection(*(set(self.kept(b)) for b in blocks)))
        step = self.resolve_step(step, common)
        stored = [self.record.checkpoints.load(block, step) for block in blocks]
        return self._with_loop(lambda loop: loop.all_replicas(stored))

    def resolve_step(self, step: int, kept: list[int]) -> int:
        """The step that is meant, of those whose states are kept.

        Raises:
            RequestError: if it is none of them, naming the nearest.
        """
        if step == -1 and self._limit:
            step = self._limit  # of the beginning of a longer run
        elif step < 0 and -step <= len(kept):
            step = kept[step]
        if step not in kept:
            near = min(kept, key=lambda s: abs(s - step), default=None)
            raise RequestError(
                f"no state of step {step} is kept; the nearest is {near}"
            )
        return step

    def _with_loop(self, make: Callable[[Any], Any]) -> Any:
        """What the task's own loop makes of stored states, in the run's precision."""
        import jax

        from heliostat.loop.run import Loop

        with jax.enable_x64(self.spec.identity["x64"]):
            return make(Loop(self.task, self.spec.identity["seed"]))

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
        rows.attrs = netcdf_attrs({**rows.attrs, "id": self.id})
        try:
            rows.to_netcdf(path, engine="h5netcdf")
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error}") from error
        return Path(path)

    def __repr__(self) -> str:
        lines = [f"Run {self.id} ({self.spec.identity['task']}): {self.status}"]
        planned = self.record.attrs.get("steps", self.steps)
        lines.append(f"  {self.steps} of {planned} steps in {self.record.folder}")
        lines += [f"  {name} = {value}" for name, value in self.headline.items()]
        return "\n".join(lines)


def status_of(record: Record, attrs: Mapping[str, Any]) -> str:
    """What the attributes of a record say; without a driver it is not running."""
    stored = attrs.get("status", "created")
    if stored in ("created", "running") and not lock.lock_owner(record.folder):
        return "interrupted"
    return stored


def netcdf_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes that netCDF can hold: what is no number or text becomes JSON, and
    what is nothing is left out.

    Example:
        >>> as_attributes({"seed": 0, "x64": True, "fields": {"a": 1}, "steps": None})
        {'seed': 0, 'x64': 'true', 'fields': '{"a": 1}'}
    """
    return {
        str(name): value if _is_plain(value) else json.dumps(value)
        for name, value in attrs.items()
        if value is not None
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _estimate(
    value: float | str | None, error: float | str | None, *more: str
) -> Estimate:
    """From JSON, where what is unknown is null, and infinity a word."""
    numbers = [float("nan") if v is None else float(v) for v in (value, error)]
    return Estimate(numbers[0], numbers[1], *more)


def open_run(
    run: str,
    *,
    store: str | Path | None = None,
    task: type[Task] | None = None,
    code: str | Sequence[str] = (),
) -> Run:
    """A stored run by its id, or by the first digits of it.

    Args:
        task: the class of a task that is not installed.
        code: FILE.py:NAME of each function that is a field of the task; without them,
            all can be read but nothing stepped.

    Raises:
        RequestError: if there is none, or if several begin like this; or for code that
            is not the run's.
        StoreError: if what is stored is damaged.
    """
    return as_run(run, store, task, code)


def find_run(run: str, store: str | Path | None = None) -> Path:
    """The folder of a run, by the first digits of its id.

    A cell of a pack has none: it is the one that it would have.
    """
    root, digits = store_folder(store), run.rpartition("/")[2]
    found: set[Path] = set()
    if digits and not set(digits) - set("0123456789abcdef"):
        alone = root.glob(f"*/{digits}*")
        found = {p for p in alone if (p / "spec.json").exists()}
        found |= {p for p in cell_paths(root) if p.name.startswith(digits)}
    if not found:
        raise RequestError(f"no run '{run}' in {root}; `heliostat runs` lists them")
    if len(found) > 1:
        names = ", ".join(sorted(p.name for p in found))
        raise RequestError(f"'{run}' is short for several runs: {names}")
    return found.pop()


def as_run(
    run: str | Run,
    store: str | Path | None,
    task: type[Task] | None = None,
    code: str | Sequence[str] = (),
) -> Run:
    """A run by its id, or one that is open already; with its code, if that is given."""
    typed = [Code(text) for text in ([code] if isinstance(code, str) else code)]
    if isinstance(run, Run):
        if not typed:
            return run
        task, found = task or type(run.task), Run(run.path, None, run._limit)
    else:
        found = Run(find_run(run, store))
    if task is not None or typed:
        found._task = config.rebuild(found.spec, task, typed)
    return found
