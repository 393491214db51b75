"""Cache of replies: :class:`Cached` looks up each request before it sends it.

    Cached.reply(request)
        └ key = request_key(assistant, messages, settings, epoch)
        └ ReplyCache.find(key)     found: return the reply, free of charge
        └ ReplyCache.reserve(...)  raises BudgetExhausted above the cap
        └ assistant.reply(...)     over the network
        └ ReplyCache.store(...)    the reply and its charge, in one transaction

The cache is one SQLite file for all runs of a machine: ``replies.sqlite`` in
``$HELIOSTAT_CACHE``.  A reply is committed before the caller sees it.  So, whatever is
killed, no completed request is sent again and each is charged once.

Only JSON text is stored, with a checksum.  A damaged reply is requested again.  A
damaged file is an error, because it also holds the charges.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from heliostat.assistants.budget import Budget, Spent, Tokens, worst_case
from heliostat.assistants.database import Database, default_path
from heliostat.assistants.message import (
    DEFAULT_SETTINGS,
    Assistant,
    BudgetExhausted,
    Conversation,
    Messages,
    Reply,
    ServerSilent,
    Settings,
    Unreachable,
    check_messages,
    request_key,
)
from heliostat.system.process import Process, this_process

RESERVATION_LIFETIME = 3600.0
"""Seconds until a reservation expires.  If its process has ended on this machine, it
expires at once."""

_CHARGE = """
INSERT INTO ledger VALUES (?, 1, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
    replies = replies + 1, prompt = prompt + excluded.prompt,
    completion = completion + excluded.completion, money = money + excluded.money
"""


class Cached:
    """Any assistant, with its replies cached and its costs charged.

    The same request is sent once, also if it is made twice at the same time in one
    event loop, and also after this process was killed.  Failures are not cached.

    Args:
        assistant: replies to requests that are not in the cache.
        budget: the account to charge, prices and cap.
        cache: default the one in ``$HELIOSTAT_CACHE``.

    Raises:
        RequestError: for a budget that makes no sense.

    Example:
        >>> from heliostat.assistants import Endpoint
        >>> Cached(Endpoint("https://host/v1", "model-x"), Budget("my run")).name
        'https://host/v1 model-x'
    """

    def __init__(
        self, assistant: Assistant, budget: Budget, cache: ReplyCache | None = None
    ) -> None:
        self.assistant, self.budget = assistant, budget.validated()
        self.cache = cache or ReplyCache()
        self._locks: dict[tuple[object, str], list[asyncio.Lock]] = {}

    @property
    def name(self) -> str:
        return self.assistant.name

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = DEFAULT_SETTINGS,
        epoch: int = 0,
    ) -> Reply:
        """Return the cached reply, or the assistant's; see :class:`Assistant`.

        Raises:
            BudgetExhausted: if the request could exceed the cap.
            ServerSilent: if the server answers no request.
            StoreError: if the cache cannot be read or written.
        """
        checked = check_messages(messages)
        key = request_key(self.name, checked, settings, epoch)
        async with self._locked(key):
            reply = await asyncio.to_thread(self.cache.find, key)
            return reply or await self._request(key, checked, settings, epoch)

    async def _request(
        self, key: str, messages: Messages, settings: Settings, epoch: int
    ) -> Reply:
        """Send the request and cache its reply, also if others reach the cap now."""
        highest_cost = self.budget.prices.cost(worst_case(messages, settings))
        reservation = await self._reserve(highest_cost)
        try:
            reply = await self.assistant.reply(messages, settings, epoch)
            await asyncio.to_thread(
                self.cache.store, key, reply, self.budget, reservation
            )
        except BaseException as error:
            self.cache.release(reservation)
            if isinstance(error, Unreachable):
                reason = (
                    f"the server does not answer: {error}; replies so far are cached"
                )
                raise ServerSilent(reason) from None
            raise
        return reply

    async def _reserve(self, highest_cost: float) -> int | None:
        """Reserve money for one request.

        Money that is reserved for requests in flight, of this or another process, is
        mostly freed by their replies: wait for them before the cap counts as reached.
        """
        while True:
            try:
                reserve = self.cache.reserve
                return await asyncio.to_thread(reserve, self.budget, highest_cost)
            except BudgetExhausted as error:
                if not error.in_flight:
                    raise
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _locked(self, key: str) -> AsyncGenerator[None]:
        """Hold the lock of a key.  A lock lives while it is in use, because it must not
        outlive its event loop."""
        place = (asyncio.get_running_loop(), key)
        users = self._locks.setdefault(place, [])  # the lock, once for each user
        users.append(users[0] if users else asyncio.Lock())
        try:
            async with users[0]:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[place]


class ReplyCache:
    """Replies, charges and reservations in a file, for many threads and processes.

    All methods raise :class:`~heliostat.StoreError` if the file is damaged, locked for
    too long or not writable: without it, requests would be sent and paid again.

    Args:
        path: path of the file; default ``replies.sqlite`` in ``$HELIOSTAT_CACHE``.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path else default_path()
        self._database = Database(self.path)

    def find(self, key: str) -> Reply | None:
        """Return the cached reply to a request, or None.

        Args:
            key: see :func:`request_key`.
        """
        with self._database.read() as database:
            query = "SELECT reply, sum FROM replies WHERE key = ?"
            row = database.execute(query, (key,)).fetchone()
        if row is None:
            return None
        if row[1] != _checksum(key, row[0]):
            warnings.warn(
                f"a reply in {self.path} is damaged and will be requested again",
                stacklevel=2,
            )
            return None
        return Reply(**json.loads(row[0]))._replace(cached=True)

    def store(
        self, key: str, reply: Reply, budget: Budget, reservation: int | None
    ) -> None:
        """Store a reply, charge for it and end its reservation: all or nothing.

        Args:
            key: see :func:`request_key`.
            reply: from the assistant.
            budget: the account to charge and the prices.
            reservation: id of the reservation, if there is one.
        """
        text = json.dumps(reply._replace(cached=False)._asdict())
        cost = budget.prices.cost(Tokens(reply.prompt_tokens, reply.completion_tokens))
        charge = (budget.account, reply.prompt_tokens, reply.completion_tokens, cost)
        with self._database.write() as database:
            row = (key, text, _checksum(key, text))
            database.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", row)
            database.execute(_CHARGE, charge)
            database.execute("DELETE FROM held WHERE id = ?", (reservation,))

    def reserve(self, budget: Budget, highest_cost: float) -> int | None:
        """Reserve money for a request in flight; return the id of the reservation.

        Args:
            budget: the account and its cap; without a cap, None is returned.
            highest_cost: upper bound of the cost of the request.

        Raises:
            BudgetExhausted: if spent + reserved + highest_cost is above the cap.
        """
        if budget.cap is None:
            return None
        with self._database.write() as database:
            _expire(database)
            spent = _sum(database, "ledger", budget.account)
            reserved = _sum(database, "held", budget.account)
            if spent + reserved + highest_cost > budget.cap:
                in_flight = _reserved_here(database, budget.account)
                raise _exhausted(budget, spent, reserved, highest_cost, in_flight)
            expires = time.time() + RESERVATION_LIFETIME
            row = (budget.account, highest_cost, expires, *this_process())
            insert = "INSERT INTO held VALUES (NULL, ?, ?, ?, ?, ?, ?)"
            return database.execute(insert, row).lastrowid

    def release(self, reservation: int | None) -> None:
        """End the reservation of a request that has no reply."""
        if reservation is not None:
            with self._database.write() as database:
                database.execute("DELETE FROM held WHERE id = ?", (reservation,))

    def spent(self, account: str) -> Spent:
        """Return the charges of an account so far."""
        with self._database.read() as database:
            query = "SELECT replies, prompt, completion, money FROM ledger"
            row = database.execute(f"{query} WHERE name = ?", (account,)).fetchone()
        return Spent(*row) if row else Spent()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()


def _checksum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()


def _sum(database: sqlite3.Connection, table: str, account: str) -> float:
    query = f"SELECT COALESCE(SUM(money), 0) FROM {table} WHERE name = ?"
    return database.execute(query, (account,)).fetchone()[0]


def _expire(database: sqlite3.Connection) -> None:
    """Delete reservations that are too old or whose process has ended."""
    rows = database.execute("SELECT DISTINCT host, pid, born FROM held").fetchall()
    owners = map(Process._make, rows)
    ended = [owner for owner in owners if owner.is_local and not owner.is_alive]
    delete = "DELETE FROM held WHERE host IS ? AND pid IS ? AND born IS ?"
    database.executemany(delete, ended)
    database.execute("DELETE FROM held WHERE expires < ?", (time.time(),))


def _reserved_here(database: sqlite3.Connection, account: str) -> float:
    """Return the money reserved by processes of this machine: they are alive."""
    query = "SELECT COALESCE(SUM(money), 0) FROM held WHERE name = ? AND host = ?"
    return database.execute(query, (account, this_process().host)).fetchone()[0]


def _exhausted(
    budget: Budget, spent: float, reserved: float, highest_cost: float, in_flight: float
) -> BudgetExhausted:
    return BudgetExhausted(
        f"the cap of {budget.cap:g} is reached: {spent:.4g} are spent, {reserved:.4g} "
        f"may be for requests in flight, and {highest_cost:.4g} for the next, on the "
        f"ledger {budget.account}; a run with a higher cap goes on from here: replies "
        "so far cost nothing again",
        in_flight=in_flight,
    )
