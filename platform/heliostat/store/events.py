"""The log of a run: one JSON object a line, appended, never rewritten.

Wall times, workers and failures are here and nowhere else, so that rows are
reproducible.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from heliostat.errors import StoreError
from heliostat.store.damage import END_OF_TIME

COMMON: Mapping[str, Any] = {"time": int | float, "event": str}
DETAILS: Mapping[str, Mapping[str, Any]] = {
    "committed": {"block": int, "start": int, "stop": int, "layout": str},
    "placed": {"workers": int, "pids": list},
}
"""Types of what every event has, and of what readers take from some."""


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

    def append(self, event: str, **details: Any) -> None:
        """Append one event with the present time, on a line of its own."""
        entry = {"time": round(time.time(), 3), "event": event, **details}
        line = json.dumps(entry).encode() + b"\n"
        with self.path.open("ab+") as stream, _locked(stream):
            stream.write(line if _ends_with_newline(stream) else b"\n" + line)

    def events(self) -> list[dict[str, Any]]:
        """Return all events; a line that is not one, as a crash leaves, is skipped.

        Raises:
            StoreError: if the file cannot be read.
        """
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        events = []
        for line in lines:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and _is_event(event):
                events.append(event)
        return events


def _is_event(entry: dict[str, Any]) -> bool:
    """Return True if an entry has what readers of its event rely on."""
    name = entry.get("event")
    types = COMMON | (DETAILS.get(name, {}) if isinstance(name, str) else {})
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
