"""Lock of a run: a file with a lease, which its one driver keeps renewing."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from heliostat.answer import command
from heliostat.errors import Busy, StoreError
from heliostat.system.process import Process, this_process

LEASE = 60.0
"""Seconds after which the lock of a driver on another machine counts as abandoned."""

TYPES = {"host": str, "pid": int, "expires": int | float}
"""Types of entries of a lock; others, as a damaged file has, do not count."""


class Lock:
    """Lock of the run in a folder: ``with Lock(folder): ...``.

    A lock is free when its file is absent, its lease has run out, or its owner was a
    process of this machine that has ended.

    Args:
        folder: folder of the run, or of the pack.
        hint: advice for the message about another driver; default for a run.

    Raises:
        Busy: if another driver holds it; the message says which.
        StoreError: if the folder is not writable.
    """

    def __init__(self, folder: Path, hint: str = "") -> None:
        self.path, self._hint = folder / "lock.json", hint or _run_hint(folder)
        self.token = secrets.token_hex(8)
        self.lost = False
        self._stop = threading.Event()
        self._renewer: threading.Thread | None = None

    def __enter__(self) -> Lock:
        try:
            if not self._take():
                self._clear(self._owner())
                if not self._take():
                    raise self._busy()
        except OSError as error:
            reason = error.strerror
            raise StoreError(f"{self.path.parent} is not writable: {reason}") from error
        self._renewer = threading.Thread(target=self._renew, daemon=True)
        self._renewer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._renewer:
            self._renewer.join(timeout=5)
        if self._owner().get("token") == self.token:
            self.path.unlink(missing_ok=True)

    def _take(self) -> bool:
        """Link a complete file, so that nobody ever reads half a lock."""
        mine = self._write()
        try:
            os.link(mine, self.path)
        except FileExistsError:
            return False
        finally:
            mine.unlink()
        return True

    def _clear(self, owner: dict[str, Any]) -> None:
        """Move an abandoned lock aside; put back one that was taken meanwhile.

        Raises:
            Busy: if it is not abandoned.
        """
        if _is_held(owner):
            raise self._busy()
        aside = self.path.with_suffix(f".{self.token}.old")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(aside)
            if _read(aside).get("token") != owner.get("token"):
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.path)
                aside.unlink()
                raise self._busy()
            aside.unlink()

    def _busy(self) -> Busy:
        owner = {"pid": "?", "host": "?"} | self._owner()
        return Busy(
            f"{self.path.parent.name} is driven by process {owner['pid']} on "
            f"{owner['host']}; {self._hint}"
        )

    def _write(self) -> Path:
        mine = self.path.with_suffix(f".{self.token}")
        mine.write_text(self._text())
        return mine

    def _renew(self) -> None:
        while not self._stop.wait(LEASE / 4):
            if self._owner().get("token") != self.token:
                self.lost = True  # the run was removed or taken over
                return
            with contextlib.suppress(OSError):  # a full disk: try again
                self._write().replace(self.path)

    def _text(self) -> str:
        host, pid, born = this_process()
        owner = {"token": self.token, "host": host, "pid": pid, "born": born}
        return json.dumps(owner | {"expires": time.time() + LEASE})

    def _owner(self) -> dict[str, Any]:
        return _read(self.path)


def lock_owner(folder: Path) -> dict[str, Any] | None:
    """Return the driver of the run in a folder (pid, host, expires), or None."""
    owner = _read(folder / "lock.json")
    return owner if _is_held(owner) else None


def _run_hint(folder: Path) -> str:
    words = folder.name, "--store", folder.parents[1]
    follow = command("logs", *words, "--follow")
    return f"`{follow}` follows it, `{command('stop', *words)}` ends it"


def _is_held(owner: dict[str, Any]) -> bool:
    """Return True if the owner lives; on another machine, if its lease lasts."""
    process = Process(owner.get("host", ""), owner.get("pid", -1), owner.get("born"))
    if process.is_local:
        return process.is_alive
    return owner.get("expires", 0) > time.time()


def _read(path: Path) -> dict[str, Any]:
    try:
        owner = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(owner, dict):
        return {}
    return {k: v for k, v in owner.items() if isinstance(v, TYPES.get(k, object))}
