"""How often and how patiently a request is tried, and what ends it at once.

    408 409 425, replies that cannot be read       tried six times
    replies too large, or that call tools          tried twice
    500 and other 5xx, timeouts, lost connections  tried six times ┐
    502 503 504 529                                tried 12 times  ├ an outage?
    429                                            tried 30 times, │
                                                   fewer at a time ┘
    400 413 422 and other 4xx                      this request has no answer
    401 402 403 404 405, redirects                 no request has: the run ends

The last line is for what is wrong with every request, a key, an address, a model.  Once
somebody was answered it may as well be an outage, and is tried six times.

An outage is the server's failure and no request's.  Which it is shows in others: when
the tries of a request are used up, and nobody was answered during the last one, it
waits until the server answers the shortest question there is, and is tried at once,
alone of those who wait.  If that fails twice, it has no answer.  Where the server stays
silent for a quarter of an hour, and up to three of the waits that it names, the run
stops, to be resumed; and so it does at once if nobody was ever answered, since then
there may be no server.  What one request finds out holds for all that were to be sent
before.
"""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import math
import random
import re
import time
from collections import Counter
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
    busy: int = 12  # failures of a server that cannot answer now, likewise
    refusals: int = 30  # because there are too many, likewise
    silence: float = 900.0  # of a server that answers nobody, s
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

    limit = "attempts"  # the field of Patience that says how often

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait
        self.sent = math.inf  # when, on the clock of the world, s


class Useless(Failed):
    """A reply came whole, and another one would hardly be better."""

    limit = "useless"


class Outage(Failed):
    """It may be the server that fails, and not this request."""

    def passes(self, known: bool) -> bool:
        """Whether to wait for its end, if the server was ever heard of or not."""
        return known


class Denied(Outage):
    """What is wrong with every request, unless others are answered."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        mistake = MISTAKES.get(status, "it redirects; give the final address")
        self.mistake = f"{mistake} ({reason})"
        self.final = status in (401, 402)  # no other question would be answered

    def passes(self, known: bool) -> bool:
        return known and not self.final


class Busy(Outage):
    """The server, or who stands before it, cannot answer anybody now."""

    limit = "busy"

    def passes(self, known: bool) -> bool:
        return True


class TooMany(Outage):
    """The server refused the request because there are too many (429)."""

    limit = "refusals"

    def passes(self, known: bool) -> bool:
        return False  # so many refusals take as long


class Tries:
    """What became of one request so far, and when that is enough.

    Args:
        began: when it was first to be sent, s.
    """

    def __init__(self, patience: Patience, began: float) -> None:
        self.patience, self.began = patience, began
        self.count = 0
        self._failed: Counter[str] = Counter()  # by limit

    def add(self, failure: Failed) -> None:
        """Another failure."""
        self.count += 1
        self._failed[failure.limit] += 1

    @property
    def used(self) -> bool:
        """Whether a request has no more tries."""
        counts = self._failed.items()
        return any(count >= getattr(self.patience, limit) for limit, count in counts)


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
    said = (header or "").strip()
    seconds = float(said) if _SECONDS.fullmatch(said) else _until(said) - now
    return min(max(seconds, 0.0), most) if math.isfinite(seconds) else None


_SECONDS = re.compile(r"[+-]?[0-9]{1,99}(\.[0-9]*)?")  # some servers name fractions


def _until(date: str) -> float:
    """A date in seconds since the epoch: of UTC, where no zone is told."""
    try:
        told = email.utils.parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return math.nan
    aware = told if told.tzinfo else told.replace(tzinfo=datetime.UTC)
    return aware.timestamp()
