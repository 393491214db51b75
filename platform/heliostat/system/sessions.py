"""Folders of embedded Ray sessions, which Ray leaves behind.

Each session that heliostat starts has a file that names the process which owns it. No
other folder of Ray is ever removed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from heliostat.system.process import Process, this_process

OWNER = "heliostat.json"
"""Name of the file with the owner of a session."""


def claim(session: Path) -> None:
    """Write into the folder of a session that this process owns it."""
    with suppress(OSError):
        (session / OWNER).write_text(json.dumps(this_process()))


def claim_failed() -> None:
    """Claim sessions that this process began to start; their names end with its number.

    ``heliostat gc`` removes them later; until then their logs may say what failed.
    """
    for session in ray_folder().glob(f"session_*_{os.getpid()}"):
        if not (session / OWNER).exists():
            claim(session)


def remove(session: Path) -> bool:
    """Remove the folder of a session that has ended; the file of its owner goes last.

    Returns:
        True if nothing is left of it.
    """
    with suppress(OSError):  # perhaps another process removes it, too
        for path in session.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != OWNER:
                path.unlink(missing_ok=True)
        if [path.name for path in session.iterdir()] == [OWNER]:
            shutil.rmtree(session, ignore_errors=True)
    latest = session.with_name("session_latest")  # Ray replaces no dangling link
    with suppress(OSError):
        if Path(os.readlink(latest)) == session and not session.exists():
            latest.unlink()
    return not session.exists()


def remove_ended() -> list[Path]:
    """Remove the folders of heliostat's sessions of which no process is left."""
    owned = sorted(path.parent for path in ray_folder().glob(f"session_*/{OWNER}"))
    links = [path for path in owned if path.is_symlink()]
    return [p for p in owned if p not in links and has_ended(p) and remove(p)]


def has_ended(session: Path) -> bool:
    """Return True if neither the owner nor a process of Ray uses a session."""
    try:
        owner = Process(*json.loads((session / OWNER).read_text()))
        if not owner.is_local or owner.is_alive:
            return False
    except (OSError, ValueError, TypeError):
        return False
    return not any(_names(process, session) for process in Path("/proc").glob("[0-9]*"))


def ray_folder() -> Path:
    """Return the folder of Ray's sessions on this machine."""
    temporary = os.environ.get("TMPDIR") if sys.platform == "linux" else None
    return Path(os.environ.get("RAY_TMPDIR") or temporary or "/tmp") / "ray"


def _names(process: Path, session: Path) -> bool:
    """Return True if the command line of a process names a session."""
    try:
        return session.name.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False
