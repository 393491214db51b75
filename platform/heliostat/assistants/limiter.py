"""How many requests are in flight: as many as the server bears, found by asking.

    limit ← limit + 1/limit    for a reply,        up to `most`
    limit ← limit / 2          for a refusal (429), down to 1

so that a round trip of replies adds one, and a refusal halves (AIMD).  A reply tells
of the load under which its request was sent: what was sent before the last refusal
changes nothing when it comes back, hence one round trip halves once.  Errors and
timeouts are no sign of load and do not shrink the limit.

Reference: Chiu and Jain, Computer Networks and ISDN Systems 17 (1989) 1, section 3.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Limiter:
    """``async with limiter.slot() as sent: ...``, then ``answered`` or ``refused``.

    It belongs to no event loop: loops may come and go, one at a time.

    Args:
        most: requests in flight at most.
        first: requests in flight at first.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        most: int = 16,
        first: int = 4,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.most, self.limit = most, float(min(first, most))
        self._clock, self._sleep = clock, sleep
        self.heard = -math.inf  # when the server answered anybody last, s
        self.lost = -math.inf  # when it was found that it answers nobody, s
        self.reason = ""  # how that was found
        self._failing = math.inf  # since when it does not answer, s
        self._until = 0.0  # nobody sends before
        self._busy = 0
        self._refusals = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, ahead: bool = False) -> AsyncIterator[int]:
        """Wait for a turn, maybe ahead of all who wait; gives the number of refusals so
        far, as a postmark."""
        await self._turn(ahead)
        self._busy += 1
        try:
            yield self._refusals
        finally:
            self._busy -= 1
            self._wake()

    def answered(self, sent: int) -> None:
        """The server bore the load under which this was sent."""
        self.alive()
        if sent == self._refusals:
            self.limit = min(self.limit + 1 / self.limit, float(self.most))

    def alive(self) -> None:
        """The server said something, were it that a request makes no sense."""
        self.heard, self._failing = self._clock(), math.inf

    def failed(self) -> None:
        """It did not."""
        self._failing = min(self._failing, self._clock())

    def silence(self, began: float) -> float:
        """How long nobody will have been answered before anybody may ask again, of the
        time since a request ``began``, s."""
        return max(self._clock(), self._until) - max(self._failing, began)

    def refused(self, sent: int) -> None:
        """The server said that it was too much."""
        if sent == self._refusals:
            self.limit = max(self.limit / 2, 1.0)
            self._refusals += 1

    def pause(self, seconds: float) -> None:
        """Let nobody send for so long: the server named the time."""
        self._until = max(self._until, self._clock() + seconds)

    async def _turn(self, ahead: bool) -> None:
        while True:
            pause = self._until - self._clock()
            if pause > 0:
                await self._sleep(pause)
            elif self._busy >= int(self.limit):
                await self._woken(ahead)
            else:
                return

    async def _woken(self, ahead: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if ahead else self._waiting.append)(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done():
                self._wake()  # pass on a turn that is not taken
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _wake(self) -> None:
        room = int(self.limit) - self._busy
        while room > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
