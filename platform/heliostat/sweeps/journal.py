"""Journal of a sweep: its request, and the events of each of its cells.

    STORE/sweeps/<sweep id>/
      sweep.json      the last request
      events.jsonl    begun, then for each cell started, and done, failed, ...

The numbers are in the runs; the journal says which runs, and why some are missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from heliostat import config
from heliostat.errors import RequestError, StoreError
from heliostat.results.lookup import existing_store
from heliostat.store.events import EventLog
from heliostat.store.lock import Lock
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.outcomes import RETRIED, CellOutcome
from heliostat.sweeps.plan import Plan

FOLDER = "sweeps"

_HINT = "wait for it: the same command then continues with its results"


class Journal:
    """Journal of one sweep; it writes only while it is :meth:`locked`."""

    def __init__(self, store: Path, plan: Plan) -> None:
        self.store, self.path = store, store / FOLDER / plan.id
        self._plan, self._log = plan, EventLog(self.path / "events.jsonl")
        self._locked = False
        self._waiting: list[tuple[str, dict[str, Any]]] = []  # written with the next

    @contextmanager
    def locked(self) -> Generator[None]:
        """Write the request, and let no other driver write meanwhile.

        A request that is refused before any cell has ended leaves nothing behind.

        Raises:
            Busy: if another driver runs this sweep.
            StoreError: if the store cannot be written.
        """
        folders = (self.path, self.path.parent, self.path.parent.parent)
        new = [folder for folder in folders if not folder.exists()]
        try:
            self._create()
            with Lock(self.path, _HINT):
                self._begin()
                try:
                    yield
                finally:
                    self._write()
        except RequestError:
            if self.path in new and not self.last_outcomes():
                shutil.rmtree(self.path)
                for folder in new[1:]:
                    with suppress(OSError):  # another sweep uses it by now
                        folder.rmdir()
            raise

    def _create(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _begin(self) -> None:
        text = json.dumps(self._plan.to_json(), indent=1)
        try:
            (self.path / "sweep.json.new").write_text(text)
            (self.path / "sweep.json.new").replace(self.path / "sweep.json")
            self._locked = True
            self.append("begun", trials=self._plan.trials)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(f"store {self.path} is not writable: {error.strerror}")

    def append(self, event: str, **details: Any) -> None:
        """Write an event; a journal that was never locked only reads."""
        self._waiting.append((event, details))
        self._write()

    def _write(self) -> None:
        if self._locked and self._waiting:
            self._log.extend(self._waiting)
        self._waiting = []

    def append_outcome(self, cell: Cell, outcome: CellOutcome) -> None:
        """Write the outcome of a cell; one that was stored before, with later ones."""
        state, computed, steps, _, reason, traceback = outcome
        why = {"reason": reason, "traceback": traceback} if reason else {}
        values = {name: config.json_value(value) for name, value in cell.values.items()}
        about = {"run": cell.id, "values": values, "computed": computed}
        self._waiting.append((state, {**about, "steps": steps, **why}))
        if computed:
            self._write()

    def events(self) -> list[dict[str, Any]]:
        """Return all events, the oldest first."""
        self._write()
        return self._log.events()

    def last_outcomes(self) -> dict[str, dict[str, Any]]:
        """Return the last event in which each run ended, by run."""
        ended = ("done", "pruned", "failed", "stopped")
        events = (e for e in self.events() if e["event"] in ended)
        return {e["run"]: e for e in events if _is_outcome(e)}

    def ending(self) -> str:
        """Return why the search ended before its last trial; empty if it did not."""
        ends = [e for e in self.events() if e["event"] in ("begun", "complete")]
        return str(ends[-1].get("ending", "")) if ends else ""

    def retries(self) -> dict[str, list[str]]:
        """Return the reason of each retry, by run."""
        reasons: dict[str, list[str]] = {}
        for event in self._log.events(RETRIED):
            if isinstance(run := event.get("run"), str):
                reasons.setdefault(run, []).append(event.get("reason", ""))
        return reasons


def _is_outcome(event: dict[str, Any]) -> bool:
    """Return False for an event that was damaged."""
    return isinstance(event.get("run"), str) and isinstance(event.get("steps"), int)


def is_sweep(sweep: str, store: str | Path | None) -> bool:
    """Return True if the store has a sweep whose id begins like this."""
    return sweep.isalnum() and any((existing_store(store) / FOLDER).glob(f"{sweep}*"))


def find_sweep(sweep: str, store: str | Path | None = None) -> Path:
    """Return the folder of a stored sweep, by the first digits of its id.

    Raises:
        RequestError: if there is no such store, or none or several such sweeps.
    """
    root = existing_store(store) / FOLDER
    digits = sweep.rpartition("/")[2]
    files = sorted(root.glob(f"{digits}*/sweep.json")) if digits.isalnum() else []
    if len(files) != 1:
        reason = f"'{sweep}' is short for several" if files else f"no sweep '{sweep}'"
        raise RequestError(f"{reason} in {root}")
    return files[0].parent


def run_ids(sweep: Path) -> set[str]:
    """Return the ids of the runs in a sweep's events."""
    events = EventLog(sweep / "events.jsonl").events()
    return {str(event["run"]) for event in events if "run" in event}
