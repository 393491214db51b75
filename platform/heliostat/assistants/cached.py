"""An assistant that is asked once: what was answered before is found, not asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heliostat.assistants.message import (
    USUAL,
    Absent,
    Assistant,
    Conversation,
    Exhausted,
    Reply,
    Settings,
    Unreachable,
    conversation,
    request_key,
)
from heliostat.assistants.replies import Replies
from heliostat.assistants.spending import Budget, worst_case


class Cached:
    """Any assistant, with its replies kept and its costs charged.

    The same request is asked once: also when it is made twice at the same time in one
    event loop, and also after this process was killed.  A request that found no answer
    is not kept.

    Args:
        assistant: who is asked.
        budget: the account that is charged, and its cap.
        replies: where they are kept.

    Example:
        >>> assistant = Cached(Endpoint("https://host/v1", "model-x"), Budget("my run"))
    """

    def __init__(
        self, assistant: Assistant, budget: Budget, replies: Replies | None = None
    ) -> None:
        self.assistant, self.budget = assistant, budget.checked()
        self.replies = replies or Replies()
        self._turns: dict[tuple[object, str], list[asyncio.Lock]] = {}

    @property
    def name(self) -> str:
        return self.assistant.name

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = USUAL,
        epoch: int = 0,
    ) -> Reply:
        """See :class:`Assistant`.

        Raises:
            Exhausted: if the cap could be exceeded.
            Absent: if nobody is answered, neither this request nor any other.
            StoreError: if replies cannot be kept.
        """
        said = conversation(messages)
        key = request_key(self.name, said, settings, epoch)
        async with self._alone(key):
            found = await asyncio.to_thread(self.replies.find, key)
            return found or await self._asked(key, said, settings, epoch)

    async def _asked(
        self, key: str, messages: Conversation, settings: Settings, epoch: int
    ) -> Reply:
        """What is in flight when a cap is reached ends as usual, and is kept."""
        worst = self.budget.prices.cost(worst_case(messages, settings))
        held = await self._held(worst)
        try:
            reply = await self.assistant.reply(messages, settings, epoch)
            await asyncio.to_thread(self.replies.keep, key, reply, self.budget, held)
        except BaseException as error:
            self.replies.release(held)
            if isinstance(error, Unreachable):
                told = f"nobody answers: {error}; what was answered is kept"
                raise Absent(told) from None
            raise
        return reply

    async def _held(self, worst: float) -> int | None:
        """Money for one request.  What is reserved for others in flight, here or in
        another process, is mostly freed when they land: the cap is not reached before
        they have."""
        while True:
            try:
                return await asyncio.to_thread(self.replies.hold, self.budget, worst)
            except Exhausted as error:
                if not error.landing:
                    raise
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """One at a time for each key; a lock lives while somebody wants it, since it
        must not outlive its event loop."""
        place = (asyncio.get_running_loop(), key)
        wanting = self._turns.setdefault(place, [])
        wanting.append(wanting[0] if wanting else asyncio.Lock())
        try:
            async with wanting[0]:
                yield
        finally:
            wanting.pop()
            if not wanting:
                del self._turns[place]
