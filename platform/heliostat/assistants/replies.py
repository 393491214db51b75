"""Replies on disk, and what they cost: one SQLite file for all runs of a machine.

A reply and its cost are committed in one transaction, and before anybody sees the
reply.  So whatever is killed, what was answered is never asked again and is charged
once.  Only JSON text is stored, with a checksum: a damaged reply is asked again, a
damaged file is an error, since it also knows what was spent.

The file is in WAL mode, which works between the processes of one machine and on no
network drive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from heliostat.assistants.message import Exhausted, Reply
from heliostat.assistants.spending import Budget, Spent, Tokens
from heliostat.errors import StoreError
from heliostat.system.process import Process, own

PATIENCE = 30.0
"""Seconds to wait for another process that writes."""

HELD = 3600.0
"""Seconds after which a reservation is void.  That of a process which has ended is void
at once, if it was one of this machine."""

_VERSION = 2
_TABLES = (
    "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT, sum TEXT)",
    "CREATE TABLE IF NOT EXISTS ledger (name TEXT PRIMARY KEY, replies INTEGER, "
    "prompt INTEGER, completion INTEGER, money REAL)",
    "DROP TABLE IF EXISTS held",
    "CREATE TABLE held (id INTEGER PRIMARY KEY, name TEXT, money REAL, expires REAL, "
    "host TEXT, pid INTEGER, born TEXT)",
)
_CHARGE = """
INSERT INTO ledger VALUES (?, 1, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
    replies = replies + 1, prompt = prompt + excluded.prompt,
    completion = completion + excluded.completion, money = money + excluded.money
"""


def default_file() -> Path:
    """``replies.sqlite`` in ``$HELIOSTAT_CACHE``, by default ``~/.cache/heliostat``."""
    folder = os.environ.get("HELIOSTAT_CACHE") or Path.home() / ".cache" / "heliostat"
    return Path(folder).expanduser() / "replies.sqlite"


class Replies:
    """The replies in a file, for any number of threads and processes.

    All methods raise :class:`StoreError` if the file is damaged, locked for too long or
    not writable: going on without it would ask and pay again.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path else default_file()
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._process = 0

    def find(self, key: str) -> Reply | None:
        """The reply to a request, or None if there is none yet."""
        with self._opened() as database:
            query = "SELECT reply, sum FROM replies WHERE key = ?"
            row = database.execute(query, (key,)).fetchone()
        if row is None:
            return None
        if row[1] != _checksum(key, row[0]):
            warnings.warn(
                f"a reply in {self.path} is damaged and will be asked for again",
                stacklevel=2,
            )
            return None
        return Reply(**json.loads(row[0]))._replace(cached=True)

    def keep(self, key: str, reply: Reply, budget: Budget, held: int | None) -> None:
        """Store a reply and charge for it, both or neither; its hold is over."""
        text = json.dumps(reply._replace(cached=False)._asdict())
        cost = budget.prices.cost(Tokens(reply.prompt_tokens, reply.completion_tokens))
        charge = (budget.ledger, reply.prompt_tokens, reply.completion_tokens, cost)
        with self._written() as database:
            row = (key, text, _checksum(key, text))
            database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", row)
            database.execute(_CHARGE, charge)
            database.execute("DELETE FROM held WHERE id = ?", (held,))

    def hold(self, budget: Budget, worst: float) -> int | None:
        """Reserve money for a request in flight; None where there is no cap.

        Raises:
            Exhausted: if the cap could be exceeded.
        """
        if budget.cap is None:
            return None
        with self._written() as database:
            _drop_void(database)
            spent = _sum(database, "ledger", budget.ledger)
            flying = _sum(database, "held", budget.ledger)
            if spent + flying + worst > budget.cap:
                landing = _landing(database, budget)
                raise _exhausted(budget, spent, flying, worst, landing)
            row = (budget.ledger, worst, time.time() + HELD, *own())
            insert = "INSERT INTO held VALUES (NULL, ?, ?, ?, ?, ?, ?)"
            return database.execute(insert, row).lastrowid

    def release(self, held: int | None) -> None:
        """Free what was reserved for a request that has no reply."""
        if held is not None:
            with self._written() as database:
                database.execute("DELETE FROM held WHERE id = ?", (held,))

    def spent(self, ledger: str) -> Spent:
        """What an account was charged so far."""
        with self._opened() as database:
            query = "SELECT replies, prompt, completion, money FROM ledger"
            row = database.execute(f"{query} WHERE name = ?", (ledger,)).fetchone()
        return Spent(*row) if row else Spent()

    def close(self) -> None:
        """Close the file; it opens again when it is needed."""
        with self._lock:
            if self._database and self._process == os.getpid():
                self._database.close()
            self._database = None

    @contextlib.contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end, or undone."""
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection()
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    f"the replies in {self.path} cannot be used: {error}; move the "
                    "file away or name another folder in $HELIOSTAT_CACHE"
                ) from error

    def _connection(self) -> sqlite3.Connection:
        """One for each process: SQLite connections do not survive a fork."""
        if self._database is None or self._process != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = _open(self.path)
            self._process = os.getpid()
        return self._database


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        _wal(database)
        # A commit survives the end of this process at once, and a power cut soon: to
        # wait for the disk would leave many answers that a kill takes away.
        database.execute("PRAGMA synchronous = NORMAL")
        _settle(database)
    except BaseException:
        database.close()
        raise
    return database


def _settle(database: sqlite3.Connection) -> None:
    """Make the tables, unless they are there: one process does, and others wait."""
    if _version(database) == _VERSION:
        return
    database.execute("BEGIN IMMEDIATE")
    if _version(database) < _VERSION:  # a new file, or one that names no processes
        for statement in (*_TABLES, f"PRAGMA user_version = {_VERSION}"):
            database.execute(statement)
    database.execute("COMMIT")


def _version(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= _VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, not {_VERSION}")
    return version


def _wal(database: sqlite3.Connection) -> None:
    """Switch to WAL; SQLite does not wait by itself if others do so in this moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _checksum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()


def _sum(database: sqlite3.Connection, table: str, name: str) -> float:
    query = f"SELECT COALESCE(SUM(money), 0) FROM {table} WHERE name = ?"
    return database.execute(query, (name,)).fetchone()[0]


def _drop_void(database: sqlite3.Connection) -> None:
    """Free what nobody will come back for."""
    holders = database.execute("SELECT DISTINCT host, pid, born FROM held").fetchall()
    gone = [who for who in map(Process._make, holders) if who.here and not who.alive]
    ended = "DELETE FROM held WHERE host IS ? AND pid IS ? AND born IS ?"
    database.executemany(ended, gone)
    database.execute("DELETE FROM held WHERE expires < ?", (time.time(),))


def _landing(database: sqlite3.Connection, budget: Budget) -> float:
    """Of what is reserved, that of processes which are known to live."""
    query = "SELECT COALESCE(SUM(money), 0) FROM held WHERE name = ? AND host = ?"
    return database.execute(query, (budget.ledger, own().host)).fetchone()[0]


def _exhausted(
    budget: Budget, spent: float, flying: float, worst: float, landing: float
) -> Exhausted:
    return Exhausted(
        f"the cap of {budget.cap:g} is reached: {spent:.4g} are spent, {flying:.4g} "
        f"may be for requests in flight, and {worst:.4g} for the next, on the ledger "
        f"{budget.ledger}; a run with a higher cap goes on from here: replies so far "
        "cost nothing again",
        landing=landing,
    )
