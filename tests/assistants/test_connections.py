"""Connections: opened and closed for a request, and to no other address."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from support.chat_server import (
    FAST_POLICY,
    HELLO,
    FakeChat,
    always,
    ask,
    failing,
    hang,
    send,
    trickle,
)

from heliostat.assistants import Endpoint, Unanswered
from heliostat.errors import RequestError


@pytest.mark.parametrize("act", [hang, trickle], ids=["silent", "a byte at a time"])
def test_an_attempt_without_end_is_ended(act):
    with always(act) as chat, pytest.raises(Unanswered, match=r"within 0\.2 s"):
        ask(chat.endpoint(policy=FAST_POLICY._replace(timeout=0.2, attempts=2)))
    assert chat.calls["hello"] == 2


def test_a_server_that_is_not_there_is_a_reason():
    with FakeChat() as chat:
        endpoint = chat.endpoint()
    with pytest.raises(Unanswered, match="connection failed"):
        ask(endpoint)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status):
    with FakeChat() as other:
        moved = send(status, Location=f"{other.url}/chat/completions")
        with always(moved) as chat, pytest.raises(RequestError, match="redirects"):
            ask(chat.endpoint())
    assert not other.calls and chat.calls["hello"] == 1


def test_replies_come_over_several_event_loops():
    with FakeChat() as chat:
        endpoint = chat.endpoint()
        texts = [ask(endpoint, [("user", str(i))]).text for i in range(3)]
    assert texts == ["echo 0", "echo 1", "echo 2"]


def test_a_cancelled_request_leaves_nothing_behind():
    async def hasty(endpoint):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(endpoint.reply(HELLO), 0.1)

    with failing(1, hang) as chat:
        endpoint = chat.endpoint()
        asyncio.run(hasty(endpoint))
        assert ask(endpoint).text == "echo hello"


@pytest.fixture
def closing(monkeypatch):
    """Clients that began to close, and that closed; closing is slow and then fails."""
    close, began, closed = httpx.AsyncClient.aclose, [], []

    async def slowly(client):
        began.append(client)
        await asyncio.sleep(3)
        await close(client)
        closed.append(client)
        raise OSError("it was half open")

    monkeypatch.setattr(httpx.AsyncClient, "aclose", slowly)
    return began, closed


def test_a_whole_reply_counts_whatever_becomes_of_its_connection(closing):
    """The timeout of an attempt does not interrupt the closing."""
    with FakeChat() as chat:
        hasty = FAST_POLICY._replace(timeout=2.5)
        assert ask(chat.endpoint(policy=hasty)).text == "echo hello"
    assert len(closing[1]) == 1 == sum(chat.calls.values())


def test_a_cancelled_request_closes_its_connection_to_the_end(closing):
    began, closed = closing

    async def cancelled(endpoint):
        request = asyncio.ensure_future(endpoint.reply(HELLO))
        while not began:
            await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    with FakeChat() as chat:
        asyncio.run(cancelled(chat.endpoint()))
    assert len(closed) == 1 == sum(chat.calls.values())


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret99@host/v1",
        "https://host/v1?key=secret99",
        "https://host/v1#secret99",
        "ftp://secret99/v1",
        "file:///secret99",
        "secret99",
        "https://secret99:port/v1",
        "https://secret99\n/v1",
        "https://[secret99/v1",
    ],
)
def test_an_odd_address_is_refused_and_not_repeated(url):
    with pytest.raises(RequestError) as caught:
        Endpoint(url, "m")
    assert "secret99" not in str(caught.value)
