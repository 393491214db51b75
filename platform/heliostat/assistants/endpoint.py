"""An assistant behind an address: any server that speaks like OpenAI's or Anthropic's.

Whatever the server does, a request ends with a reply or with a reason.
"""

from __future__ import annotations

import importlib.util
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
from heliostat.assistants.credentials import KEY, key, redacted, variable
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.line import Line
from heliostat.assistants.message import (
    USUAL,
    Conversation,
    Message,
    Reply,
    Settings,
    Unanswered,
    Unreachable,
    conversation,
)
from heliostat.assistants.spending import worst_case
from heliostat.assistants.transport import check_address, local
from heliostat.assistants.wire import WIRES, Said
from heliostat.assistants.wording import TEXT, printable, storable
from heliostat.errors import RequestError, did_you_mean

_SHORTEST = (Message("user", "Say yes."),), Settings(temperature=None, max_tokens=16)
"""The question that tells whether a server answers at all; nobody's account pays it."""


@dataclass(frozen=True)
class Endpoint:
    """``Endpoint("https://host/v1", "model-x")``.

    Raises:
        RequestError: for an address that is none or that holds credentials; when asked,
            also if httpx is missing, or if a key would travel in the clear.
    """

    url: str  # http or https, without the last part: https://host/v1
    model: str  # as the server calls it
    key: str = KEY  # NAME of the environment variable that holds the key
    wire: str = "openai"  # or anthropic
    patience: Patience = field(default=Patience())
    limiter: Limiter = field(default_factory=Limiter, repr=False, compare=False)
    world: World = field(default=World(), repr=False, compare=False)
    label: str = ""  # the name, where the address does not matter
    _line: Line = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        variable(self.key)
        check_address(self.url)
        if self.wire not in WIRES:
            raise RequestError(
                f"`wire` is {' or '.join(WIRES)}, not '{self.wire}'"
                + did_you_mean(self.wire, WIRES)
            )
        speaking = (self.url, self.model, self.key, self.wire)
        line = Line(*speaking, self.patience, self.world.date)
        object.__setattr__(self, "_line", line)

    @property
    def name(self) -> str:
        return self.label or f"{self.url.rstrip('/')} {self.model}"

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = USUAL,
        epoch: int = 0,
    ) -> Reply:
        """The answer to the last message; see :class:`Assistant`."""
        self.check_ready()
        said = conversation(messages)
        if settings.seed is not None:
            settings = settings._replace(seed=settings.seed + epoch)
        tries = Tries(self.patience)
        while True:
            try:
                return await self._in_turn(said, settings)
            except Failed as error:
                failure = error
            tries.add(failure, self.world.clock())
            await self._end(failure, tries)
            await self._wait(tries.count, failure)

    async def _end(self, failure: Failed, tries: Tries) -> None:
        """Raise why a request ends, if it does: because of itself, or of the server."""
        await self._end_if_denied(failure)
        over = tries.over(failure, self.world.clock(), self.limiter.heard)
        alone = isinstance(failure, Outage) and self.limiter.heard < tries.since
        if alone and (over or tries.used) and await self._answers():
            over, alone = True, False
        if over:
            why = Unreachable if alone else Unanswered
            raise why(f"{failure}; tried {tries.count} times") from None

    async def _end_if_denied(self, failure: Failed) -> None:
        """The address or the key is wrong if nobody was ever answered."""
        if not isinstance(failure, Denied) or self.limiter.heard > -math.inf:
            return
        if failure.final or not await self._answers():
            raise RequestError(f"{self.name}: {failure.mistake}") from None

    async def _answers(self) -> bool:
        """Whether the server answers anybody."""
        try:
            await self._in_turn(*_SHORTEST)
        except Failed:
            return False
        except Unanswered:
            pass  # that it makes no sense is an answer
        return True

    def check_ready(self) -> None:
        """
        Raises:
            RequestError: if httpx is missing, or a key would travel in the clear.
        """
        if importlib.util.find_spec("httpx") is None:
            raise RequestError(
                'an endpoint needs httpx: python -m pip install "heliostat[llm]"'
            )
        if key(self.key) and self.url.startswith("http:") and not local(self.url):
            raise RequestError(
                f"the key in ${self.key} would travel in the clear to {self.url}; use "
                f"https, or unset ${self.key} if the server needs none"
            )

    async def _in_turn(
        self, messages: tuple[Message, ...], settings: Settings
    ) -> Reply:
        """One attempt, when the limiter lets it, which learns what came of it."""
        async with self.limiter.slot() as sent:
            try:
                said = await self._line.said(messages, settings)
            except Failed as error:
                if isinstance(error, TooMany):
                    self.limiter.refused(sent)
                self.limiter.pause(error.wait or 0.0)
                raise
            except Unanswered:
                self.limiter.alive()
                raise
            self.limiter.answered(sent)
        return _reply(said, messages, settings)

    async def _wait(self, failure: int, error: Failed) -> None:
        if not error.wait:  # else the limiter lets everybody wait
            chance = self.world.chance()
            await self.world.sleep(wait_before(failure, self.patience, chance))


def _reply(said: Said, messages: tuple[Message, ...], settings: Settings) -> Reply:
    """A reply with no key in it, of bounded length, the worst case if none counted."""
    text = storable(redacted(said.text))
    worst = worst_case(messages, settings)
    prompt, completion = said.prompt_tokens, said.completion_tokens
    return Reply(
        text[:TEXT],
        worst.prompt if prompt is None else prompt,
        worst.completion if completion is None else completion,
        finish="cut" if len(text) > TEXT else printable(redacted(said.finish), 40),
    )
