"""What happened to a run: one JSON object a line, appended, never rewritten.

Wall times, workers and failures stand here and nowhere else: rows are reproducible.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


class Log:
    """The events of one run, in the order in which they happened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tell(self, event: str, **details: Any) -> None:
        """Append one event, on a line of its own."""
        line = {"time": round(time.time(), 3), "event": event, **details}
        told = json.dumps(line).encode() + b"\n"
        with self.path.open("ab+") as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                whole = stream.read(1) == b"\n"  # one: others may tell meanwhile
                told = told if whole else b"\n" + told  # a crash cut the last line
            stream.write(told)

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
