"""Connections to an address: when they open and close, and how much is read.

No redirect is followed, since it could carry the key elsewhere, and a body is unpacked
only as far as it may be large, since ten kilobytes can unpack to ten megabytes.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from heliostat.assistants.attempts import Failed, Useless
from heliostat.errors import RequestError

if TYPE_CHECKING:
    import ssl

    import httpx


class Connections:
    """A client that lives while somebody waits: event loops come and go, and one that
    is left open would outlive the loop that it belongs to."""

    def __init__(self, local: bool) -> None:
        self._local = local
        self._open: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[httpx.AsyncClient]:
        loop = asyncio.get_running_loop()
        shared = self._open.setdefault(loop, [])  # the client, once for each user
        shared.append(shared[0] if shared else self._client())
        try:
            yield shared[0]
        finally:
            client = shared.pop()
            if not shared:
                await _close(client)

    def _client(self) -> httpx.AsyncClient:
        import httpx

        return httpx.AsyncClient(
            verify=_trusted(),
            timeout=None,  # of the whole attempt, by its caller
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
            trust_env=not self._local,  # proxies lead out, not to this machine
        )


async def _close(client: httpx.AsyncClient) -> None:
    """To its end, also if who waits is cancelled: cut short, it leaves sockets behind.
    What goes wrong in it is no matter of a reply that came."""
    closing = asyncio.ensure_future(client.aclose())
    closing.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait([closing], timeout=_CLOSING)
    except asyncio.CancelledError:
        await asyncio.wait([closing], timeout=_CLOSING)
        raise


_CLOSING = 10.0  # s


def check_address(url: str) -> None:
    """Nothing of the address is repeated that may be secret."""
    try:
        parts = urlsplit(url)
        port = parts.port  # noqa: F841 - raises for one that is no number
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


def local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def read(response: httpx.Response, most: int) -> bytes:
    """A whole body, of ``most`` bytes at most.

    Raises:
        Useless: if it is larger, or packed in a manner that was not asked for.
        Failed: if it cannot be unpacked.
    """
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("", "identity", *_ZLIB):
        raise Useless("the reply is packed in a manner that was not asked for")
    body, unpack = bytearray(), _unpacker(packing)
    async for part in response.aiter_raw():
        body += unpack(part, most + 1 - len(body))
        if len(body) > most:
            raise Useless(f"the reply is larger than {most / 1e6:g} MB")
    return bytes(body)


_ZLIB = ("gzip", "x-gzip", "deflate")
_EITHER = 32 + zlib.MAX_WBITS  # gzip or zlib, told apart by their first bytes


def _unpacker(packing: str) -> Callable[[bytes, int], bytes]:
    """``(part, most) -> bytes``; what is not packed is returned as it came."""
    if packing not in _ZLIB:
        return lambda part, most: part
    stream = zlib.decompressobj(_EITHER)

    def unpack(part: bytes, most: int) -> bytes:
        try:
            return stream.decompress(part, most)
        except zlib.error as error:
            raise Failed(f"the reply cannot be unpacked: {error}") from None

    return unpack


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed: read once, it takes longer than a request."""
    import httpx

    return httpx.create_ssl_context()
