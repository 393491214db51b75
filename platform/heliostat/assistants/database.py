"""SQLite file of replies, charges and reservations: its tables and its transactions.

The file is in WAL mode, which works between processes of one machine but not on a
network drive.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path

from heliostat.errors import StoreError
from heliostat.system.cache import cache_folder

LOCK_TIMEOUT = 30.0
"""Seconds to wait for another process that writes."""

_VERSION = 2
_TABLES = (
    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT, sum TEXT)",
    "CREATE TABLE IF NOT EXISTS ledger (name TEXT PRIMARY KEY, replies INTEGER, "
    "prompt INTEGER, completion INTEGER, money REAL)",
    "DROP TABLE IF EXISTS held",
    "CREATE TABLE held (id INTEGER PRIMARY KEY, name TEXT, money REAL, expires REAL, "
    "host TEXT, pid INTEGER, born TEXT)",
)
"""``replies`` are cached, ``ledger`` is charges by account, ``held`` reservations."""


def default_path() -> Path:
    """Return ``replies.sqlite`` in the cache folder."""
    return cache_folder() / "replies.sqlite"


class Database:
    """Connection to the file, for any number of threads and processes.

    Args:
        path: path of the file; it is made when it is first used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    @contextlib.contextmanager
    def read(self) -> Generator[sqlite3.Connection]:
        """Yield the connection.

        Raises:
            StoreError: if the file is damaged, locked for too long or not writable.
        """
        with self._lock:
            try:
                yield self._connected()
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    f"the replies in {self.path} cannot be used: {error}; move the "
                    "file away or name another folder in $HELIOSTAT_CACHE"
                ) from error

    @contextlib.contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Yield the connection in a transaction, which is committed at the end of the
        block, or undone if the block raises.

        Raises:
            StoreError: if the file is damaged, locked for too long or not writable.
        """
        with self.read() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
        """Return this process's connection: none survives a fork."""
        if self._connection is None or self._process != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _connect(self.path)
            self._process = os.getpid()
        return self._connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        _enable_wal(connection)
        # A commit survives a kill of this process at once, and a power cut soon.
        # Waiting for the disk would leave more replies uncommitted at a kill.
        connection.execute("PRAGMA synchronous = NORMAL")
        _create_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode; SQLite itself does not wait for others that switch now."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables if they are missing; of several processes, one does it."""
    if _version(connection) == _VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if _version(connection) < _VERSION:  # new, or of version 1: `held` named no process
        for statement in (*_TABLES, f"PRAGMA user_version = {_VERSION}"):
            connection.execute(statement)
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= _VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, not {_VERSION}")
    return version
