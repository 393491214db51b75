"""The log of a run: one JSON object a line, appended, never rewritten.

Wall times, workers and failures are here and nowhere else, so that rows are
reproducible.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from heliostat.store.damage import END_OF_TIME, as_store_error

COMMON: dict[str, Any] = {"time": int | float, "event": str}
DETAILS: dict[str, dict[str, Any]] = {
    "committed": {"block": int, "start": int, "stop": int, "layout": str},
    "placed": {"workers": int, "pids": list},
}
OPTIONAL: dict[str, Any] = {"reason": str, "traceback": str}
"""Types of entries that every event has, or some, where readers rely on them."""


class EventLog:
    """The events of one run, in the order in which they happened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = EventLog(Path(folder) / "events.jsonl")
        ...     log.append("started", at=0)
        ...     [(event["event"], event["at"]) for event in log.events()]
        [('started', 0)]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: frozenset[int] | None = None

    def append(self, event: str, **details: Any) -> None:
        """Append one event with the present time, on a line of its own."""
        self.extend([(event, details)])
        self._ends = None

    def extend(self, events: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Append events, each with its details, in one write."""
        now = round(time.time(), 3)
        entries = ({"time": now, "event": name, **more} for name, more in events)
        lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
        with self.path.open("ab+") as stream, _locked(stream):
            stream.write(lines if _ends_with_newline(stream) else b"\n" + lines)

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Return the events, all or those of one name.

        A line that is not an event, as a crash leaves, is skipped.

        Raises:
            StoreError: if the file is none, or cannot be read.
        """
        if not self.path.exists():
            return []
        with as_store_error(f"{self.path}: the log"):
            lines = self.path.read_bytes().splitlines()
        events = []
        for line in lines:
            if name.encode() not in line:
                continue  # without parsing it
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and _is_event(event):
                events.append(event)
        return [event for event in events if name in ("", event["event"])]

    @property
    def ends(self) -> frozenset[int]:
        """Lengths to which drivers had completed the run when this one began.

        Read once for many commits: a driver appends an event before its first.
        """
        if self._ends is None:
            ends = (event.get("at") for event in self.events("complete"))
            self._ends = frozenset(end for end in ends if isinstance(end, int))
        return self._ends


def _is_event(entry: dict[str, Any]) -> bool:
    """Return True if an entry has what readers of its event rely on."""
    name = entry.get("event")
    types = COMMON | (DETAILS.get(name, {}) if isinstance(name, str) else {})
    types |= {key: OPTIONAL[key] for key in OPTIONAL if key in entry}
    typed = all(isinstance(entry.get(key), types[key]) for key in types)
    return typed and 0 <= entry["time"] < END_OF_TIME


@contextmanager
def _locked(stream: IO[bytes]) -> Generator[None]:
    """Keep other writers out, on file systems that have locks.

    Unlocked explicitly, not only closed: a child forked meanwhile would keep the lock.
    """
    with suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX)
    try:
        yield
        stream.flush()
    finally:
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_UN)


def _ends_with_newline(stream: IO[bytes]) -> bool:
    """Return True if the last line is complete: a crash may have cut it.

    Call it under the lock: a line that others append grows page by page for a reader.
    """
    if not stream.seek(0, os.SEEK_END):
        return True
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"
