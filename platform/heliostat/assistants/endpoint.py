"""An assistant behind an address: any server that speaks like OpenAI's or Anthropic's.

Whatever the server does, a request ends with a reply or with a reason.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heliostat.assistants.attempts import (
    AGAIN,
    MISTAKES,
    Failed,
    NoConnection,
    Patience,
    TooMany,
    Tries,
    World,
    retry_after,
    wait_before,
)
from heliostat.assistants.credentials import KEY, key, redacted, signing, variable
from heliostat.assistants.limiter import Limiter
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
from heliostat.assistants.transport import Connections, check_address, local, read
from heliostat.assistants.wire import WIRES, Malformed, Said, complaint, loaded
from heliostat.assistants.wording import TEXT, printable, storable
from heliostat.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    import httpx

BODY = 4_000_000
"""Bytes of a reply that are read."""

_COMPLAINT = 65_536  # bytes of an error that are read


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
    _connections: Connections = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        variable(self.key)
        check_address(self.url)
        if self.wire not in WIRES:
            raise RequestError(
                f"`wire` is {' or '.join(WIRES)}, not '{self.wire}'"
                + did_you_mean(self.wire, WIRES)
            )
        object.__setattr__(self, "_connections", Connections(local(self.url)))

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
        self._check_ready()
        said = conversation(messages)
        if settings.seed is not None:
            settings = settings._replace(seed=settings.seed + epoch)
        tries = Tries(self.patience)
        while True:
            try:
                return await self._in_turn(said, settings)
            except Failed as error:
                failure = error
            if tries.over(failure, self.world.clock(), self.limiter.heard):
                raise self._given_up(failure, tries) from None
            await self._wait(tries.count, failure)

    def _given_up(self, failure: Failed, tries: Tries) -> Unanswered:
        """It is not this request's fault if nobody was answered in its time."""
        gone = isinstance(failure, NoConnection | TooMany)
        alone = gone and self.limiter.heard < tries.since
        why = Unreachable if alone else Unanswered
        return why(f"{failure}; tried {tries.count} times")

    def _check_ready(self) -> None:
        if importlib.util.find_spec("httpx") is None:
            raise RequestError(
                'an endpoint needs httpx: python -m pip install "heliostat[llm]"'
            )
        if key(self.key) and self.url.startswith("http:") and not local(self.url):
            raise RequestError(
                f"the key in ${self.key} would travel in the clear to {self.url}; use "
                "https, or an empty `key` for a server that needs none"
            )

    async def _in_turn(
        self, messages: tuple[Message, ...], settings: Settings
    ) -> Reply:
        """One attempt, when the limiter lets it, which learns what came of it."""
        async with self.limiter.slot() as sent:
            try:
                said = await self._attempt(messages, settings)
            except Failed as error:
                if isinstance(error, TooMany):
                    self.limiter.refused(sent)
                self.limiter.pause(error.wait or 0.0)
                raise
            self.limiter.answered(sent)
        return _reply(said, messages, settings)

    async def _wait(self, failure: int, error: Failed) -> None:
        if not error.wait:  # else the limiter lets everybody wait
            chance = self.world.chance()
            await self.world.sleep(wait_before(failure, self.patience, chance))

    async def _attempt(self, messages: tuple[Message, ...], settings: Settings) -> Said:
        wire = WIRES[self.wire]
        body = wire.body(self.model, messages, settings)
        came = await self._exchange(body)
        try:
            return wire.said(loaded(came))
        except Malformed as error:
            said = printable(redacted(complaint(came)))
            raise Failed(f"{error}{said and ': '}{said}") from None

    async def _exchange(self, body: dict[str, Any]) -> bytes:
        """The body of a reply with a status that is good."""
        import httpx

        try:
            async with asyncio.timeout(self.patience.timeout), self._sent(body) as got:
                if got.is_success:
                    return await read(got, BODY)
                raise await self._refusal(got)
        except TimeoutError:
            seconds = self.patience.timeout
            raise Failed(f"no whole reply within {seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            reason = printable(redacted(str(error))) or type(error).__name__
            kind = NoConnection if isinstance(error, httpx.ConnectError) else Failed
            raise kind(f"the connection failed: {reason}") from None

    @asynccontextmanager
    async def _sent(self, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        wire = WIRES[self.wire]
        async with (
            self._connections() as client,
            client.stream(
                "POST",
                self.url.rstrip("/") + wire.path,
                json=body,
                headers={"Accept-Encoding": "identity", **wire.extra},
                auth=signing(self.key, wire.header, wire.scheme),
            ) as response,
        ):
            yield response

    async def _refusal(self, response: httpx.Response) -> Exception:
        """What a status means that is no success."""
        status = response.status_code
        header = response.headers.get("Retry-After")
        wait = retry_after(header, self.world.date(), self.patience.named)
        said = "" if response.is_redirect else await _said_wrong(response)
        reason = f"status {status}{said and ': '}{said}"
        if status == 429:
            return TooMany(reason, wait)
        if status in AGAIN or status >= 500 or status < 300:
            return Failed(reason, wait)
        if status < 400:
            return RequestError(f"{self.name} redirects; give the final address")
        if status in MISTAKES:
            return RequestError(f"{self.name}: {MISTAKES[status]} ({reason})")
        return Unanswered(reason)


async def _said_wrong(response: httpx.Response) -> str:
    try:
        return printable(redacted(complaint(await read(response, _COMPLAINT))))
    except Failed:
        return ""


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
