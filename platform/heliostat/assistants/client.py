"""HTTP client: one attempt of one request, and the meaning of its failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heliostat.assistants.credentials import redacted, signer
from heliostat.assistants.failures import (
    MISTAKES_BY_STATUS,
    RETRYABLE,
    UNAVAILABLE,
    AccessDenied,
    AttemptFailed,
    RateLimited,
    ServerBusy,
    ServerFailure,
    UnusableReply,
    retry_after,
)
from heliostat.assistants.message import Messages, Settings, Unanswered
from heliostat.assistants.providers import (
    PROVIDERS,
    Completion,
    MalformedReply,
    NoText,
    error_message,
    parse_json,
    renamed_fields,
)
from heliostat.assistants.text import printable
from heliostat.assistants.transport import Connections, is_local, read_body

if TYPE_CHECKING:
    import httpx

MAX_REPLY_BYTES = 4_000_000
"""Size of the largest reply that is read."""

_MAX_ERROR_BYTES = 65_536


@dataclass
class Client:
    """Client of one model on one server."""

    url: str  # without the provider's path: https://host/v1
    model: str
    key: str  # NAME of the environment variable that holds the key
    provider: str  # a key of PROVIDERS
    timeout: float  # timeout of one attempt, from first byte to last, s
    longest_retry_after: float  # longer waits are cut to this, s
    wall_time: Callable[[], float]  # seconds since the epoch
    field_names: dict[str, str] = field(default_factory=dict)  # ours -> the server's

    def __post_init__(self) -> None:
        self._connections = Connections(is_local(self.url))

    async def complete(self, messages: Messages, settings: Settings) -> Completion:
        """Send the request once; return the completion.

        Raises:
            AttemptFailed: if another attempt may succeed.
            Unanswered: if the server rejects the request.
        """
        provider = PROVIDERS[self.provider]
        body = provider.build_body(self.model, messages, settings)
        renamed = {self.field_names.get(name, name): v for name, v in body.items()}
        content = await self._post(renamed)
        try:
            return provider.parse(parse_json(content))
        except MalformedReply as error:
            detail = _one_line(error_message(content))
            kind = UnusableReply if isinstance(error, NoText) else AttemptFailed
            raise kind(f"{error}{detail and ': '}{detail}") from None

    async def _post(self, body: dict[str, Any]) -> bytes:
        """Return the body of a successful response."""
        import httpx

        try:
            async with (
                self._connections() as client,  # not timed: it may close slowly
                asyncio.timeout(self.timeout),
                self._stream(client, body) as response,
            ):
                if response.is_success and response.status_code != 204:
                    return await read_body(response, MAX_REPLY_BYTES)
                raise await self._failure_of(response, body)
        except TimeoutError:
            reason = f"no whole reply within {self.timeout:g} s"
            raise ServerFailure(reason) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            reason = _one_line(str(error)) or type(error).__name__
            raise ServerFailure(f"the connection failed: {reason}") from None

    def _stream(
        self, client: httpx.AsyncClient, body: dict[str, Any]
    ) -> AbstractAsyncContextManager[httpx.Response]:
        provider = PROVIDERS[self.provider]
        return client.stream(
            "POST",
            self.url.rstrip("/") + provider.path,
            json=body,
            headers={"Accept-Encoding": "identity", **provider.extra_headers},
            auth=signer(self.key, provider.key_header, provider.key_prefix),
        )

    async def _failure_of(
        self, response: httpx.Response, body: dict[str, Any]
    ) -> Exception:
        """Return the exception for an unsuccessful status."""
        status = response.status_code
        header = response.headers.get("Retry-After")
        wait = retry_after(header, self.wall_time(), self.longest_retry_after)
        detail = "" if response.is_redirect else await _read_error(response)
        reason = f"status {status}{detail and ': '}{detail}"
        if status == 429:
            return RateLimited(reason, wait)
        if status in UNAVAILABLE:
            return ServerBusy(reason, wait)
        if status in RETRYABLE:
            return AttemptFailed(reason, wait)
        if status >= 500:
            return ServerFailure(reason, wait)
        if status < 300:
            return UnusableReply(f"{reason}: there is no reply in it")
        if status < 400 or status in MISTAKES_BY_STATUS:
            return AccessDenied(status, reason)
        return self._rejected(reason, detail, body)

    def _rejected(self, reason: str, detail: str, body: dict[str, Any]) -> Exception:
        """Return the exception for a rejected request.

        It may be retried if the server only wants other names for its fields.
        """
        if names := renamed_fields(detail, body):
            self.field_names |= names
            return AttemptFailed(reason)
        if "temperature" in detail and "temperature" in body:
            reason += "; a temperature of none leaves it to the server"
        return Unanswered(reason)


async def _read_error(response: httpx.Response) -> str:
    try:
        return _one_line(error_message(await read_body(response, _MAX_ERROR_BYTES)))
    except AttemptFailed:
        return ""


def _one_line(text: str) -> str:
    """Make one line of a server's text.  Tags are removed before keys are searched,
    because a tag inside a key would hide it."""
    return redacted(printable(text))
