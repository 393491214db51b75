"""Limit of the requests in flight, adapted to what the server accepts (AIMD).

    limit ← limit + 1/limit    for a reply,        up to `maximum`
    limit ← limit / 2          for a refusal (429), down to 1

One round trip of replies adds one to the limit; one round trip of refusals halves it
once.  A response counts only if its request was sent after the last refusal: earlier
requests were sent under the old limit.  Errors and timeouts do not change the limit,
because they are no sign of load.

Reference: Chiu and Jain, Computer Networks and ISDN Systems 17 (1989) 1, section 3.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager


class Limiter:
    """Limit of the requests in flight: wait in ``slot()``, then report the outcome.

    It belongs to no event loop: loops may come and go, one at a time.

    Args:
        maximum: largest number of requests in flight.
        initial: number of requests in flight at first.
        clock: monotonic time, s.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        maximum: int = 16,
        initial: int = 4,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.maximum, self.limit = maximum, float(min(initial, maximum))
        self._clock, self._sleep = clock, sleep
        self.last_response = -math.inf  # time of the last response to any request, s
        self.gave_up_at = -math.inf  # time at which the server was given up, s
        self.gave_up_reason = ""
        self._failing_since = math.inf  # time of the first failure in a row, s
        self._paused_until = 0.0  # no request is sent before this time, s
        self._in_flight = 0
        self._refusals = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, urgent: bool = False) -> AsyncGenerator[int]:
        """Wait for a free slot; yield the number of refusals so far.

        Pass that number to :meth:`report_reply` or :meth:`report_refusal`: it tells
        under which limit the request was sent.

        Args:
            urgent: overtake all waiting requests.
        """
        await self._wait_for_slot(urgent)
        self._in_flight += 1
        try:
            yield self._refusals
        finally:
            self._in_flight -= 1
            self._wake_waiting()

    def report_reply(self, refusals_before: int) -> None:
        """Report a reply: raise the limit, unless a refusal came in between."""
        self.report_response()
        if refusals_before == self._refusals:
            self.limit = min(self.limit + 1 / self.limit, float(self.maximum))

    def report_response(self) -> None:
        """Report any response of the server, even that a request is invalid."""
        self.last_response, self._failing_since = self._clock(), math.inf

    def report_failure(self) -> None:
        """Report a failed attempt."""
        self._failing_since = min(self._failing_since, self._clock())

    def silence(self, since: float) -> float:
        """Return the seconds without any reply, counted to the next permitted attempt
        and at most since ``since``."""
        next_attempt = max(self._clock(), self._paused_until)
        return next_attempt - max(self._failing_since, since)

    def report_refusal(self, refusals_before: int) -> None:
        """Report a refusal (429): halve the limit, once in a round trip."""
        if refusals_before == self._refusals:
            self.limit = max(self.limit / 2, 1.0)
            self._refusals += 1

    def pause(self, seconds: float) -> None:
        """Send no request for so long, as ``Retry-After`` asks."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    async def _wait_for_slot(self, urgent: bool) -> None:
        while True:
            pause = self._paused_until - self._clock()
            if pause > 0:
                await self._sleep(pause)
            elif self._in_flight >= int(self.limit):
                await self._queue(urgent)
            else:
                return

    async def _queue(self, urgent: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if urgent else self._waiting.append)(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done():
                self._wake_waiting()  # the cancelled request does not use its turn
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _wake_waiting(self) -> None:
        free = int(self.limit) - self._in_flight
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
