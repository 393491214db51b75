"""The line to a server: one attempt to get a reply, and what a failure means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heliostat.assistants.attempts import (
    AGAIN,
    BUSY,
    MISTAKES,
    Busy,
    Denied,
    Failed,
    Outage,
    Patience,
    TooMany,
    Useless,
    retry_after,
)
from heliostat.assistants.credentials import redacted, signing
from heliostat.assistants.message import Message, Settings, Unanswered
from heliostat.assistants.transport import Connections, local, read
from heliostat.assistants.wire import (
    WIRES,
    Malformed,
    NoText,
    Said,
    complaint,
    loaded,
    renamed,
)
from heliostat.assistants.wording import printable

if TYPE_CHECKING:
    import httpx

BODY = 4_000_000
"""Bytes of a reply that are read."""

_COMPLAINT = 65_536  # bytes of an error that are read


@dataclass
class Line:
    """A server, as it is spoken to."""

    url: str
    model: str
    key: str  # NAME of the environment variable
    wire: str
    patience: Patience
    date: Callable[[], float]  # seconds since the epoch
    names: dict[str, str] = field(default_factory=dict)  # that it wants for fields

    def __post_init__(self) -> None:
        self._connections = Connections(local(self.url))

    async def said(self, messages: tuple[Message, ...], settings: Settings) -> Said:
        """What comes back, once.

        Raises:
            Failed: if it may be better next time.
            Unanswered: if it will not be.
        """
        wire = WIRES[self.wire]
        body = wire.body(self.model, messages, settings)
        came = await self._body({self.names.get(n, n): v for n, v in body.items()})
        try:
            return wire.said(loaded(came))
        except Malformed as error:
            told = _quoted(complaint(came))
            kind = Useless if isinstance(error, NoText) else Failed
            raise kind(f"{error}{told and ': '}{told}") from None

    async def _body(self, body: dict[str, Any]) -> bytes:
        """The body of a reply with a status that is good."""
        import httpx

        seconds = self.patience.timeout
        try:
            async with (
                self._connections() as client,  # outside: it closes in its own time
                asyncio.timeout(seconds),
                self._sent(client, body) as got,
            ):
                if got.is_success and got.status_code != 204:
                    return await read(got, BODY)
                raise await self._refusal(got, body)
        except TimeoutError:
            raise Outage(f"no whole reply within {seconds:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            reason = _quoted(str(error)) or type(error).__name__
            raise Outage(f"the connection failed: {reason}") from None

    def _sent(
        self, client: httpx.AsyncClient, body: dict[str, Any]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        wire = WIRES[self.wire]
        return client.stream(
            "POST",
            self.url.rstrip("/") + wire.path,
            json=body,
            headers={"Accept-Encoding": "identity", **wire.extra},
            auth=signing(self.key, wire.header, wire.scheme),
        )

    async def _refusal(
        self, response: httpx.Response, body: dict[str, Any]
    ) -> Exception:
        """What a status means that is no success."""
        status = response.status_code
        header = response.headers.get("Retry-After")
        wait = retry_after(header, self.date(), self.patience.named)
        said = "" if response.is_redirect else await _said_wrong(response)
        reason = f"status {status}{said and ': '}{said}"
        if status == 429:
            return TooMany(reason, wait)
        if status in BUSY:
            return Busy(reason, wait)
        if status in AGAIN:
            return Failed(reason, wait)
        if status >= 500:
            return Outage(reason, wait)
        if status < 300:
            return Useless(f"{reason}: there is no reply in it")
        if status < 400 or status in MISTAKES:
            return Denied(status, reason)
        return self._request_refused(reason, said, body)

    def _request_refused(
        self, reason: str, said: str, body: dict[str, Any]
    ) -> Exception:
        """It is sent again, if the server only wants other names for its fields."""
        if wanted := renamed(said, body):
            self.names |= wanted
            return Failed(reason)
        if "temperature" in said and "temperature" in body:
            reason += "; a temperature of none leaves it to the server"
        return Unanswered(reason)


async def _said_wrong(response: httpx.Response) -> str:
    try:
        return _quoted(complaint(await read(response, _COMPLAINT)))
    except Failed:
        return ""


def _quoted(text: str) -> str:
    """One line of what a server says; a tag within a key does not hide it from us."""
    return redacted(printable(text))
