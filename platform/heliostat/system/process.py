"""Which process something belongs to, and whether that one still lives.

A number alone does not say: numbers are used again.  So a process is named by its host,
its number and when it began.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process, as others can name it."""

    host: str
    pid: int
    born: str | None  # in ticks since boot; None where the system does not say

    @property
    def here(self) -> bool:
        """Whether it is of this machine: of others nothing can be known."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it has not ended; of this machine only."""
        return _runs(self.pid) and self.born in (None, born(self.pid))

    def end(self) -> None:
        """End it at once, if it is of this machine and alive."""
        if self.here and self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def own() -> Process:
    """This one."""
    return Process(socket.gethostname(), os.getpid(), born(os.getpid()))


def born(pid: int) -> str | None:
    """When a process began, in ticks since boot."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else None


def _runs(pid: int) -> bool:
    if pid < 1:
        return False  # to a system these are many
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    return _stat(pid)[:1] != ["Z"]  # a zombie has ended, its number is still taken


def _stat(pid: int) -> list[str]:
    """What Linux says of a process, from its state on; elsewhere nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
