"""How often and how patiently a request is tried, and what ends it at once.

    500 and the like, timeouts, lost connections,
    replies that cannot be read                    tried six times
    replies too large, or without a text           tried twice
    429                                            tried again, and fewer at a time,
                                                   as long as others are answered
    502 503 504 529                                tried six times, and for as long as
                                                   nobody is answered
    400 413 422 and other 4xx                      this request has no answer
    401 402 403 404 405, redirects                 no request has: the run ends

The last line is for what is wrong with every request, a key, an address, a model.  Once
somebody was answered it is no such thing, and tried six times.

Whether it is the server or the request shows in others: if the last try of a request
failed in a manner that servers fail in, and nobody was answered since its first, the
server is asked the shortest question there is.  If that is answered, this request has
no answer; if it is not, nobody is, and the run stops and can be resumed.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

AGAIN = frozenset((408, 409, 425))
BUSY = frozenset((502, 503, 504, 529))
MISTAKES = {
    401: "the key was not accepted",
    402: "the account has no money left",
    403: "access was refused",
    404: "there is no such model or address",
    405: "the address takes no chats",
}


class Patience(NamedTuple):
    """How much trouble one request may be."""

    attempts: int = 6  # that fail, before it is given up
    useless: int = 2  # replies that are of no use, likewise
    refusals: int = 30  # by a busy server, likewise
    silence: float = 900.0  # of a server that refuses all and answers nobody, s
    timeout: float = 120.0  # of one attempt, from first byte to last, s
    first: float = 0.5  # wait after the first failure, s
    longest: float = 30.0  # wait, if the server does not name it, s
    named: float = 300.0  # longest wait that a server may name, s


class World(NamedTuple):
    """Time and chance, as tests replace them."""

    clock: Callable[[], float] = time.monotonic
    date: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = random.random


class Failed(Exception):
    """An attempt failed; another may succeed. ``wait`` is what the server asks for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Useless(Failed):
    """A reply came whole, and another one would hardly be better."""


class Outage(Failed):
    """It may be the server that fails, and not this request."""


class NoConnection(Outage):
    """Nobody took the connection."""


class Silent(Outage):
    """The reply did not come, or not to its end."""


class Denied(Outage):
    """What is wrong with every request, unless others are answered."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        mistake = MISTAKES.get(status, "it redirects; give the final address")
        self.mistake = f"{mistake} ({reason})"
        self.final = status in (401, 402)  # no other question would be answered


class Busy(Outage):
    """The server, or who stands before it, cannot answer anybody now."""


class TooMany(Outage):
    """The server refused the request because there are too many (429)."""


class Tries:
    """What became of one request so far, and when that is enough."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.failures = self.useless = self.refusals = 0
        self.since = math.inf  # when the first try failed, s

    @property
    def count(self) -> int:
        return self.failures + self.useless + self.refusals

    def add(self, failure: Failed, now: float) -> None:
        """Another failure, at ``now`` (s)."""
        self.since = min(self.since, now)
        match failure:
            case TooMany():
                self.refusals += 1
            case Useless():
                self.useless += 1
            case _:
                self.failures += 1

    @property
    def used(self) -> bool:
        """Whether a request by itself has no more tries."""
        most = self.patience
        return (
            self.failures >= most.attempts
            or self.useless >= most.useless
            or self.refusals > most.refusals
        )

    def over(self, failure: Failed, now: float, answered: float) -> bool:
        """Whether this failure was one too many.

        Args:
            now: what the clock says, s.
            answered: what it said when the server last answered anybody, s.
        """
        silence = now - max(self.since, answered)
        if isinstance(failure, Busy) and answered < self.since:
            return silence > self.patience.silence
        refused = isinstance(failure, TooMany) and silence > self.patience.silence
        return refused or self.used


def wait_before(failure: int, patience: Patience, chance: float) -> float:
    """Seconds before the next attempt: doubled by each failure, and jittered.

    Requests that failed together shall not come again together; ``chance`` is uniform
    in [0, 1) and scales the wait by 1/2 to 1.
    """
    doubled = patience.first * 2.0 ** min(failure - 1, 60)
    return min(doubled, patience.longest) * (1 + chance) / 2


def retry_after(header: str | None, now: float, most: float) -> float | None:
    """Seconds that a ``Retry-After`` asks for, RFC 9110 section 10.2.3; None if none.

    Args:
        header: a number of seconds, or a date.
        now: seconds since the epoch.
        most: what is granted at most, s.
    """
    try:
        seconds = float(header or "")
    except ValueError:
        seconds = _until(header or "") - now
    return min(max(seconds, 0.0), most) if math.isfinite(seconds) else None


def _until(date: str) -> float:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return math.nan
