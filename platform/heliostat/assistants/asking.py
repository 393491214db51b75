"""Asking until there is a reply, or a reason why there is none.

When a request is given up, and when the run, is told in ``attempts``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from heliostat.assistants.attempts import (
    Denied,
    Failed,
    Outage,
    Patience,
    TooMany,
    Tries,
    World,
    wait_before,
)
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.line import Line
from heliostat.assistants.message import Message, Settings, Unanswered, Unreachable
from heliostat.assistants.pulse import beats
from heliostat.assistants.wire import Said
from heliostat.errors import RequestError

_TRIALS = 2

Question = tuple[Message, ...]


@dataclass(frozen=True)
class Asking:
    """A line that is asked again and again, by many at the same time."""

    name: str  # of who is asked
    line: Line
    patience: Patience
    limiter: Limiter
    world: World
    trials: Limiter = field(default_factory=lambda: Limiter(most=1))

    async def said(self, messages: Question, settings: Settings) -> Said:
        """What comes back: tried among others, as often as may be, and then alone.

        Raises:
            Unanswered: if the request has no answer.
            Unreachable: if nobody has one.
            RequestError: if nobody will have one: a wrong key, no such model.
        """
        tries = Tries(self.patience, self.world.clock())
        while True:
            try:
                return await self._in_turn(messages, settings, tries.began)
            except Failed as error:
                failure = error
            await self._end_if_denied(failure)
            tries.add(failure)
            if tries.used or self._silent(tries):
                return await self._alone(failure, tries, messages, settings)
            if not failure.wait:  # else the limiter lets everybody wait
                await self._wait(tries.count)

    async def _alone(
        self, failure: Failed, tries: Tries, messages: Question, settings: Settings
    ) -> Said:
        """Who fails twice where nobody else is tried, and right after the server did
        answer, has itself to blame; or if others were answered meanwhile."""
        for _ in range(_TRIALS):
            if not isinstance(failure, Outage) or self.limiter.heard > failure.sent:
                break
            async with self.trials.slot():
                self._end_if_lost(tries.began)
                await self._until_well(failure, tries)
                try:
                    return await self._in_turn(messages, settings)
                except Failed as error:
                    failure = error
                    tries.add(failure)
        raise Unanswered(_told(failure, tries)) from None

    async def _until_well(self, failure: Outage, tries: Tries) -> None:
        """Wait for a server that answers somebody, whatever wait it names: it may name
        next to nothing, and there is no end of tries here.

        Raises:
            Unreachable: if there is none, or it is silent for too long.
        """
        while not await beats(self._in_turn):
            if not failure.passes(self._known) or self._silent(tries):
                self.limiter.lost = self.world.clock()
                self.limiter.reason = _told(failure, tries)
                raise Unreachable(self.limiter.reason) from None
            await self._wait(tries.count)

    async def _end_if_denied(self, failure: Failed) -> None:
        """The address or the key is wrong if nobody was ever answered."""
        if not isinstance(failure, Denied) or self._known:
            return
        if failure.final or not await beats(self._in_turn):
            raise RequestError(f"{self.name}: {failure.mistake}") from None

    @property
    def _known(self) -> bool:
        """Whether anybody was ever answered."""
        return self.limiter.heard > -math.inf

    def _silent(self, tries: Tries) -> bool:
        """Whether nobody was answered for too long while this one waits."""
        return self.limiter.silence(tries.began) > self.patience.silence

    def _end_if_lost(self, began: float) -> None:
        """What was to be sent before the server was given up need not be tried."""
        if self.limiter.lost >= began:
            raise Unreachable(self.limiter.reason)

    async def _in_turn(
        self, messages: Question, settings: Settings, began: float | None = None
    ) -> Said:
        """One attempt, when the limiter lets it, which learns what came of it; ahead of
        others, unless it is known when it ``began`` to wait."""
        async with self.limiter.slot(ahead=began is None) as sent:
            if began is not None:
                self._end_if_lost(began)
            sending = self.world.clock()
            try:
                said = await self.line.said(messages, settings)
            except Failed as error:
                error.sent = sending
                self.limiter.failed()
                if isinstance(error, TooMany):
                    self.limiter.refused(sent)
                self.limiter.pause(error.wait or 0.0)
                raise
            except Unanswered:
                self.limiter.alive()
                raise
            self.limiter.answered(sent)
        return said

    async def _wait(self, failures: int) -> None:
        chance = self.world.chance()
        await self.world.sleep(wait_before(failures, self.patience, chance))


def _told(failure: Failed, tries: Tries) -> str:
    return f"{failure}; tried {tries.count} times"
