"""How often and how patiently a request is tried, and what ends it at once.

    408 409 425 5xx, timeouts, lost connections,
    replies that cannot be read                    tried again, after a wait
    429                                            tried again, and fewer at a time,
                                                   as long as others are answered
    400 413 422 and other 4xx                      this request has no answer
    401 402 403 404 405, redirects                 no request has: the run ends

The last line is for what is wrong with every request: a key, an address, a model.
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
MISTAKES = {
    401: "the key was not accepted",
    402: "the account has no money left",
    403: "the key does not allow it",
    404: "there is no such model or address",
    405: "the address takes no chats",
}


class Patience(NamedTuple):
    """How much trouble one request may be."""

    attempts: int = 6  # that fail, before it is given up
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


class NoConnection(Failed):
    """Nobody took the connection."""


class TooMany(Failed):
    """The server refused the request because there are too many (429)."""


class Tries:
    """What became of one request so far, and when that is enough."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.failures = self.refusals = 0
        self.since = math.inf  # when the first try failed, s

    @property
    def count(self) -> int:
        return self.failures + self.refusals

    def over(self, failure: Failed, now: float, answered: float) -> bool:
        """Whether this failure was one too many.

        Args:
            now: what the clock says, s.
            answered: what it said when the server last answered anybody, s.
        """
        self.since = min(self.since, now)
        if not isinstance(failure, TooMany):
            self.failures += 1
            return self.failures >= self.patience.attempts
        self.refusals += 1
        silence = now - max(self.since, answered)
        most = self.patience
        return self.refusals > most.refusals or silence > most.silence


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
