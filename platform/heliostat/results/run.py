"""A stored run as its reader sees it: rows, states, headline and log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from heliostat import config
from heliostat.answer import Estimate, headline_lines
from heliostat.config.code import Code
from heliostat.config.registry import find_task
from heliostat.errors import RequestError
from heliostat.loop.work import block_count
from heliostat.results.description import with_attributes
from heliostat.results.encoding import estimate_from_json
from heliostat.results.export import check_format, export
from heliostat.results.goal import GoalOutcome
from heliostat.results.headline import Headline, headline_of
from heliostat.store import lock
from heliostat.store.annotations import Annotation, annotation_of
from heliostat.store.cell import CellRecord
from heliostat.store.index import open_record
from heliostat.store.record import Record
from heliostat.task import Task


class Run:
    """One stored run, complete or not: its rows, states, headline and log.

    Args:
        path: the folder of the run, or the one that a cell of a pack would have.
        task: the task; default rebuilt from the stored spec when it is needed.
        limit: steps to show, of a longer run; default all.
        until: outcome of a condition that ends the run at ``limit``.
        record: the open record; default opened at ``path``.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, steps=20, on="here")
        >>> run.status, run.steps
        ('complete', 20)
        >>> dict(run.rows.lp.sizes)
        {'chain': 4, 'draw': 20}
        >>> round(run.headline["exact"].value, 3)
        -1.462
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
        """Hash of what defines the run, 16 hexadecimal digits."""
        return self.spec.id

    @property
    def path(self) -> Path:
        """Folder of the run, or the one that a cell of a pack would have."""
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

    def rebuild_task(self, task: type[Task] | None, codes: Sequence[Code]) -> None:
        """Rebuild the task with a class that is not installed, or with its code.

        Args:
            task: the class; default the installed one.
            codes: the functions that are fields of the task.

        Raises:
            RequestError: if the class or the code is not the run's.
        """
        self._task = config.rebuild(self.spec, task, codes)

    def reopen(self) -> Run:
        """Return the same run, read again from disk, without its task."""
        return Run(self.path, None, self._limit)

    @property
    def status(self) -> str:
        """``complete``, ``running``, ``stopped``, ``interrupted`` or ``failed``."""
        return status_of(self.record, self.record.attrs)

    @property
    def steps(self) -> int:
        """Steps that every block has committed."""
        return min(self.record.steps, self._limit or sys.maxsize)

    @property
    def limited(self) -> bool:
        """True if the run shows the first steps of a longer one."""
        return self._limit is not None

    @property
    def shared(self) -> Record:
        """The record of its pack; else that of the run."""
        return self.record.pack if isinstance(self.record, CellRecord) else self.record

    @property
    def annotation(self) -> Annotation:
        """Tags, name and note, which :func:`heliostat.tag` sets."""
        return annotation_of(self.record)

    @property
    def until(self) -> GoalOutcome | None:
        """The condition that ends the run, and its outcome; None without one."""
        stored = self.record.attrs.get("until") if self._limit is None else None
        return self._until or (GoalOutcome(**stored) if stored else None)

    @property
    def rows(self) -> xr.Dataset:
        """Rows, opened lazily: dims replica (if there are several), step, …

        A variable is an attribute, ``rows.energy``. One with the name of a method of
        datasets has an underscore behind it: ``rows.update_``. The attributes name the
        run, its seed and its fields, and netCDF can hold them.
        """
        return with_attributes(self.declared_rows, self.spec)

    @property
    def declared_rows(self) -> xr.Dataset:
        """Rows under the names that the task declares, as its methods expect them."""
        return self._cut(self.record.rows(), self._limit)

    @property
    def observed(self) -> xr.Dataset:
        """Observations at multiples of the stride, opened lazily, named as rows are."""
        stride = self.spec.identity["stride"]
        limit = None if self._limit is None else self._limit // stride
        return with_attributes(self._cut(self.record.observed(), limit), self.spec)

    @property
    def tree(self) -> xr.DataTree:
        """Groups that the task makes of the rows, and the observations, as rows are."""
        groups = dict(self.task.tree(self.declared_rows))
        if len(observed := self.observed):
            groups.setdefault("observed", observed)
        described = {
            name: with_attributes(data, self.spec) for name, data in groups.items()
        }
        return xr.DataTree.from_dict(described)

    def _cut(self, data: xr.Dataset, entries: int | None) -> xr.Dataset:
        dim = self.record.attrs["step_dim"]
        return data.isel({dim: slice(0, entries)}) if dim in data.dims else data

    @property
    def headline(self) -> dict[str, Estimate]:
        """Estimates by name: value, error, units, source."""
        return self._headline.estimates

    @property
    def headline_errors(self) -> tuple[str, ...]:
        """Reasons why entries of the headline failed, or all of it, a line each."""
        return self._headline.errors

    @property
    def _headline(self) -> Headline:
        stored = self._stored_headline()
        if (stored and not self._outdated) or not self.steps:
            return stored or Headline({})
        rows = self.declared_rows.load()
        estimated = headline_of(self.task, rows, self.observed)
        return stored if stored and estimated.errors else estimated

    def _stored_headline(self) -> Headline | None:
        """Return the headline that is stored; None if it is of other rows."""
        attrs = self.record.attrs
        stored = attrs.get("headline")
        if stored is None or self.limited or status_of(self.record, attrs) == "running":
            return None
        estimates = {name: estimate_from_json(*e) for name, e in stored.items()}
        return Headline(estimates, tuple(attrs.get("headline_errors") or ()))

    @property
    def _outdated(self) -> bool:
        """True if the task estimates otherwise now than at the time of storing."""
        stored, name = self.record.attrs, self.spec.identity["task"]
        try:
            task = type(self._task) if self._task else find_task(name)
            current = stored.get("headline_version", 1) == task.headline_version
            return not current and self.task is not None
        except RequestError:  # without the task, or its code, the stored one stands
            return False

    def state(self, step: int = -1, replica: int = 0) -> Any:
        """Return the state of a replica at a kept step.

        Args:
            step: one of :meth:`kept`; -1 is the last.
            replica: index of the replica.

        Returns:
            The task's own pytree, of numpy arrays.

        Raises:
            RequestError: if no state of that step is kept; names the nearest.
        """
        block = replica // self.task.width
        step = self.resolve_step(step, self.kept(block))
        stored = self.record.checkpoints.load(block, step)
        return self._with_loop(lambda loop: loop.replica_state(replica, stored))

    def states(self, step: int = -1) -> Any:
        """Return the states of all replicas at a kept step.

        Args:
            step: one that every block has kept; -1 is the last.

        Returns:
            The task's own pytree, of numpy arrays with a leading axis of replicas; of
            untraced tasks a list.

        Raises:
            RequestError: if no state of that step is kept; names the nearest.
        """
        blocks = range(block_count(self.task))
        common = sorted(set.intersection(*(set(self.kept(b)) for b in blocks)))
        step = self.resolve_step(step, common)
        stored = [self.record.checkpoints.load(block, step) for block in blocks]
        return self._with_loop(lambda loop: loop.all_replicas(stored))

    def resolve_step(self, step: int, kept: list[int]) -> int:
        """Return the step that is meant, among those whose states are kept.

        Args:
            step: a kept step, or a negative index into ``kept``.
            kept: the kept steps, in ascending order.

        Returns:
            A member of ``kept``.

        Raises:
            RequestError: if ``step`` is none of them; names the nearest.
        """
        if step == -1 and self._limit:
            step = self._limit  # the view of a longer run ends here
        elif step < 0 and -step <= len(kept):
            step = kept[step]
        if step not in kept:
            near = min(kept, key=lambda s: abs(s - step), default=None)
            raise RequestError(
                f"no state of step {step} is kept; the nearest is {near}"
            )
        return step

    def _with_loop(self, read: Callable[[Any], Any]) -> Any:
        """Apply a function to the loop of the task, in the precision of the run."""
        import jax

        from heliostat.loop.run import Loop

        with jax.enable_x64(self.spec.identity["x64"]):
            return read(Loop(self.task, self.spec.identity["seed"]))

    def kept(self, block: int = 0) -> list[int]:
        """Return the steps of a block whose states are kept.

        Args:
            block: index of the block of replicas.

        Returns:
            Steps in ascending order.
        """
        last = min(int(self.record.committed[block]), self._limit or sys.maxsize)
        return [s for s in self.record.checkpoints.steps(block) if s <= last]

    def events(self) -> list[dict[str, Any]]:
        """Return the events of the log, each with its time and name, oldest first."""
        return self.record.log.events()

    def export(self, path: str | Path) -> Path:
        """Write the rows to one file, whose ending gives the format.

        ``.nc`` is netCDF-4, with provenance and fields as attributes; ``.csv`` has a
        line for each replica and step, and a column for each variable.

        Args:
            path: the file to write; one that exists is replaced.

        Returns:
            The path that was written.

        Raises:
            RequestError: for another ending, or if the file cannot be written; nothing
                is left then.
        """
        check_format(path)
        return export(self.rows.load(), path)

    def __repr__(self) -> str:
        lines = [f"Run {self.id} ({self.spec.identity['task']}): {self.status}"]
        planned = self.record.attrs.get("steps", self.steps)
        lines.append(f"  {self.steps} of {planned} steps in {self.record.folder}")
        estimates, errors = self._headline
        lines += [*headline_lines(estimates), *(f"  {error}" for error in errors)]
        return "\n".join(lines)


def status_of(record: Record, attrs: Mapping[str, Any]) -> str:
    """Return the stored status; ``interrupted`` for a run that has lost its driver."""
    stored = attrs.get("status", "created")
    if stored in ("created", "running") and not lock.lock_owner(record.folder):
        return "interrupted"
    return stored
