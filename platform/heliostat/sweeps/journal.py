"""What is kept of a sweep: what was asked, and what happened to each of its cells.

    STORE/sweeps/<sweep id>/
      sweep.json      what was asked for last
      events.jsonl    begun, then for each cell started, and done, failed, ...

The numbers lie in the runs; this says which they are, and why some are missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from heliostat import config
from heliostat.config import Spec
from heliostat.errors import RequestError, StoreError
from heliostat.results.run import store_folder
from heliostat.store.events import EventLog
from heliostat.store.lock import Lock
from heliostat.sweeps.axes import Range
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.outcomes import RETRIED, CellOutcome
from heliostat.sweeps.plan import Metric, Plan, Schedule
from heliostat.task import Task

FOLDER = "sweeps"

_HINT = "when it is done the same line goes on, with what it has computed"


class Journal:
    """The folder of one sweep."""

    def __init__(self, store: Path, plan: Plan) -> None:
        self.path = store / FOLDER / plan.id
        self._plan, self._log = plan, EventLog(self.path / "events.jsonl")
        self._begun = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Write down what is asked for, and what happens meanwhile, alone.

        What is refused before any of its cells has ended leaves nothing behind.

        Raises:
            Busy: if another driver is at this sweep.
            StoreError: if the store cannot be written.
        """
        folders = (self.path, self.path.parent, self.path.parent.parent)
        new = [folder for folder in folders if not folder.exists()]
        try:
            self._make()
            with Lock(self.path, _HINT):
                self._begin()
                yield
        except RequestError:
            if self.path in new and not self.last_outcomes():
                shutil.rmtree(self.path)
                for folder in new[1:]:
                    with suppress(OSError):  # it has other things by now
                        folder.rmdir()
            raise

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _begin(self) -> None:
        text = json.dumps(_described(self._plan), indent=1)
        try:
            (self.path / "sweep.json.new").write_text(text)
            (self.path / "sweep.json.new").replace(self.path / "sweep.json")
            self._begun = True
            self.append("begun", trials=self._plan.trials)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(f"store {self.path} is not writable: {error.strerror}")

    def append(self, event: str, **details: Any) -> None:
        """Write down what happens; who has not begun only reads."""
        if self._begun:
            self._log.append(event, **details)

    def append_outcome(self, cell: Cell, outcome: CellOutcome) -> None:
        state, computed, steps, _, reason, traceback = outcome
        why = {"reason": reason, "traceback": traceback} if reason else {}
        values = {name: config.plain(value) for name, value in cell.values.items()}
        about = {"run": cell.spec.id, "values": values, "computed": computed}
        self.append(state, **about, steps=steps, **why)

    def events(self) -> list[dict[str, Any]]:
        return self._log.events()

    def last_outcomes(self) -> dict[str, dict[str, Any]]:
        """The last event of each run in which it ended, by its id."""
        ended = ("done", "pruned", "failed", "stopped")
        return {e["run"]: e for e in self.events() if e["event"] in ended}

    def retries(self) -> dict[str, list[str]]:
        """Why runs were tried again, by their ids: a reason for each time."""
        found: dict[str, list[str]] = {}
        for event in self.events():
            if event["event"] == RETRIED and "run" in event:
                found.setdefault(event["run"], []).append(event["reason"])
        return found


def _described(plan: Plan) -> dict[str, Any]:
    """All of a plan as JSON values: the task by its spec."""
    spec = config.specify(plan.task, plan.seed, plan.x64)
    over = {
        name: axis._asdict() if isinstance(axis, Range) else config.plain(axis)
        for name, axis in plan.axes.items()
    }
    names = ("search", "trials", "search_seed", "steps", "metrics")
    rest = {name: config.plain(getattr(plan, name)) for name in names}
    rest["scheduled"] = config.plain(plan.schedule)
    return {"spec": spec._asdict(), "over": over, **rest}


def is_sweep(sweep: str, store: str | Path | None) -> bool:
    """Whether the store has a sweep whose id begins so."""
    return sweep.isalnum() and any((store_folder(store) / FOLDER).glob(f"{sweep}*"))


def find_sweep(sweep: str, store: str | Path | None = None) -> Path:
    """The folder of a stored sweep, by the first digits of its id.

    Raises:
        RequestError: if there is none, or several.
    """
    root = store_folder(store) / FOLDER
    digits = sweep.rpartition("/")[2]
    found = sorted(root.glob(f"{digits}*/sweep.json")) if digits.isalnum() else []
    if len(found) != 1:
        told = f"no sweep '{sweep}'" if not found else f"'{sweep}' is short for several"
        raise RequestError(f"{told} in {root}")
    return found[0].parent


def run_ids(sweep: Path) -> set[str]:
    """The ids of the runs of which a sweep's events tell."""
    events = EventLog(sweep / "events.jsonl").events()
    return {str(event["run"]) for event in events if "run" in event}


def read_plan(
    sweep: str, store: str | Path | None = None, task: type[Task] | None = None
) -> Plan:
    """The plan of a stored sweep, by the first digits of its id.

    Raises:
        RequestError: if there is none, or several; or if its task is not installed.
        StoreError: if what is stored is damaged.
    """
    file = find_sweep(sweep, store) / "sweep.json"
    try:
        kept = json.loads(file.read_text())
        made = config.rebuild(Spec(**kept["spec"]), task)
        plan = _plan(kept, made)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RequestError):
            raise
        raise StoreError(f"{file} is damaged ({error})") from error
    if plan.id != file.parent.name:
        raise StoreError(f"{file} is damaged: it is of another sweep")
    return plan


def _plan(kept: dict[str, Any], task: Task) -> Plan:
    axes = {
        name: Range(**axis) if isinstance(axis, dict) else tuple(map(value_of, axis))
        for name, axis in kept["over"].items()
    }
    identity, scheduled = kept["spec"]["identity"], kept["scheduled"]
    return Plan(
        task,
        axes,
        kept["search"],
        kept["trials"],
        identity["seed"],
        kept["search_seed"],
        identity["x64"],
        kept["steps"],
        tuple(Metric(*metric) for metric in kept["metrics"]),
        Schedule(*scheduled) if scheduled else None,
    )


def value_of(value: Any) -> Any:
    """A value of a field from JSON: its lists are tuples."""
    return tuple(map(value_of, value)) if isinstance(value, list) else value
