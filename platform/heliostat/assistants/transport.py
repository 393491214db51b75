"""Connections to a server: opening, closing, and reading a bounded body.

Redirects are not followed, because they could carry the key to another server.  A body
is unpacked only up to a limit, because ten kilobytes can unpack to ten megabytes.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from heliostat.assistants.failures import AttemptFailed, UnusableReply
from heliostat.errors import RequestError

if TYPE_CHECKING:
    import ssl

    import httpx

_CLOSE_TIMEOUT = 10.0  # s


class Connections:
    """httpx client that is shared by the requests in flight of one event loop.

    It is closed after the last of them, because event loops come and go and an open
    client would outlive its loop.

    Args:
        local: whether the server is on this machine.
    """

    def __init__(self, local: bool) -> None:
        self._local = local
        self._by_loop: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[httpx.AsyncClient]:
        loop = asyncio.get_running_loop()
        users = self._by_loop.setdefault(loop, [])  # the client, once for each user
        users.append(users[0] if users else self._client())
        try:
            yield users[0]
        finally:
            client = users.pop()
            if not users:
                await _close(client)

    def _client(self) -> httpx.AsyncClient:
        import httpx

        return httpx.AsyncClient(
            verify=_certificates(),
            timeout=None,  # the caller limits the whole attempt
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
            trust_env=not self._local,  # no proxy to this machine
        )


async def _close(client: httpx.AsyncClient) -> None:
    """Close the client completely, also if the caller is cancelled: otherwise sockets
    stay open.  An error while closing does not matter to a complete reply."""
    closing = asyncio.ensure_future(client.aclose())
    closing.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT)
    except asyncio.CancelledError:
        await asyncio.wait([closing], timeout=_CLOSE_TIMEOUT)
        raise


def check_address(url: str) -> None:
    """Check the base address of a server.

    Messages do not repeat the address: it may contain a secret.

    Raises:
        RequestError: if it is no http(s) URL, or has credentials, a query or a
            fragment.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if the port is no number
    except ValueError:
        raise RequestError("the address of an assistant is no URL") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise RequestError(
            "the address of an assistant holds no credentials and no query: the key "
            "comes from an environment variable"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RequestError(
            "the address of an assistant begins with http:// or https://, such as "
            "https://host/v1"
        )
    if not url.isascii() or not url.isprintable() or " " in url:
        raise RequestError("the address of an assistant is no URL")


def is_local(url: str) -> bool:
    """Return whether the server of an address is on this machine.

    Example:
        >>> is_local("http://127.0.0.1:8000/v1"), is_local("https://host/v1")
        (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """Return the whole body of a response, unpacked.

    Args:
        response: whose body is streamed.
        limit: bytes of the unpacked body at most.

    Raises:
        UnusableReply: if it is larger, or packed in another way than gzip or deflate.
        AttemptFailed: if it cannot be unpacked.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", *_ZLIB):
        raise UnusableReply("the reply is packed in a manner that was not asked for")
    body, unpack = bytearray(), _unpacker(encoding)
    async for part in response.aiter_raw():
        body += unpack(part, limit + 1 - len(body))
        if len(body) > limit:
            raise UnusableReply(f"the reply is larger than {limit / 1e6:g} MB")
    return bytes(body)


_ZLIB = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # detected from the first bytes


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Return a function (part, limit) -> unpacked bytes."""
    if encoding not in _ZLIB:
        return lambda part, limit: part
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    def unpack(part: bytes, limit: int) -> bytes:
        try:
            return stream.decompress(part, limit)
        except zlib.error as error:
            raise AttemptFailed(f"the reply cannot be unpacked: {error}") from None

    return unpack


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Load the trusted certificates once: it takes longer than a request."""
    import httpx

    return httpx.create_ssl_context()
