"""Identity of a process, and a test of whether it still runs.

Operating systems use process ids again. So a process is identified by its host, its id
and its start time.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process, identified across hosts and restarts.

    Args:
        host: name of its machine.
        pid: process id on that machine.
        start_time: ticks since boot; None if the system does not report it.
    """

    host: str
    pid: int
    start_time: str | None

    @property
    def is_local(self) -> bool:
        """True on this machine; the state of other machines is unknown."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """True until the process ends; valid on this machine only."""
        same = self.start_time in (None, start_time(self.pid))
        return _is_running(self.pid) and same

    def kill(self) -> None:
        """Kill the process, if it runs on this machine."""
        if self.is_local and self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def this_process() -> Process:
    """Return the identity of the calling process."""
    return Process(socket.gethostname(), os.getpid(), start_time(os.getpid()))


def start_time(pid: int) -> str | None:
    """Return the start of a process in ticks since boot; None if unknown."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else None


def _is_running(pid: int) -> bool:
    if pid < 1:
        return False  # to the system these name groups of processes
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's process
    return _stat(pid)[:1] != ["Z"]  # a zombie has ended, its id is still taken


def _stat(pid: int) -> list[str]:
    """Read the fields of ``/proc/PID/stat`` from the state on; empty without it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
