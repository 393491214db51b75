"""What happened to a run: one JSON object a line, appended, never rewritten.

Wall times, workers and failures stand here and nowhere else: rows are reproducible.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


class EventLog:
    """The events of one run, in the order in which they happened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, **details: Any) -> None:
        """Append one event, on a line of its own."""
        line = {"time": round(time.time(), 3), "event": event, **details}
        told = json.dumps(line).encode() + b"\n"
        with self.path.open("ab+") as stream, _locked(stream):
            stream.write(told if _ends_with_newline(stream) else b"\n" + told)

    def events(self) -> list[dict[str, Any]]:
        """All events; what is none, such as a line that a crash cut, is left out."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and "event" in event:
                found.append(event)
        return found


@contextmanager
def _locked(stream: IO[bytes]) -> Iterator[None]:
    """Nobody else tells meanwhile; where nothing can be locked, a line may be blank.

    It is unlocked and not only closed: a child forked meanwhile would keep it locked.
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
    """Whether the last line has its end: a crash may have cut it.

    Only under a lock: a line that others append grows page by page for who reads it.
    """
    if not stream.seek(0, os.SEEK_END):
        return True
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"
