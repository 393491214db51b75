"""Outages: if a request is at fault it fails alone; if the server is, the run stops."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from support.chat_server import FAST_POLICY, FakeChat, answer, hang, send

from heliostat.assistants import Endpoint, Limiter, RetryPolicy, Unanswered, Unreachable
from heliostat.assistants.retry import Clock
from heliostat.errors import RequestError

PAGE = b"<html><h1>Forbidden</h1></html>"
SHORT = FAST_POLICY._replace(timeout=0.2, silence=0.02)
OUTAGES = {
    "hangs": hang,
    "is busy": send(503),
    "stands behind a gateway": send(504, PAGE),
    "refuses": send(429),
    "denies": send(403, PAGE),
}


def ask_together(endpoint: Endpoint, *prompts: str):
    """Send requests at the same time; return replies and exceptions."""

    async def main():
        replies = (endpoint.reply([("user", prompt)]) for prompt in prompts)
        return await asyncio.gather(*replies, return_exceptions=True)

    return asyncio.run(main())


class Dial:
    """Clock that only sleeping advances."""

    def __init__(self):
        self.now = 0.0

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def world(self):
        return Clock(monotonic=lambda: self.now, sleep=self.sleep, uniform=lambda: 0.0)


@pytest.mark.parametrize("name", OUTAGES)
def test_a_request_that_fails_by_itself_ends_alone(name):
    """It fails alone also as the last request: the server answers a health check."""
    with FakeChat(lambda _, prompt: OUTAGES[name] if prompt == "x" else answer) as chat:
        endpoint = chat.endpoint(policy=SHORT)
        for _ in range(2):  # never heard of, then known
            (result,) = ask_together(endpoint, "x")
            assert type(result) is Unanswered
        *others, result = ask_together(endpoint, "a", "b", "x")
    assert [reply.text for reply in others] == ["echo a", "echo b"]
    assert type(result) is Unanswered


@pytest.mark.parametrize(
    "name",
    [pytest.param("hangs", marks=pytest.mark.slow), *list(OUTAGES)[1:]],
)
def test_where_nobody_is_answered_any_more_it_is_the_server(name):
    with FakeChat() as chat:
        dial = Dial()
        limiter = Limiter(clock=lambda: dial.now, sleep=dial.sleep)
        options = {"policy": SHORT, "limiter": limiter, "clock": dial.world}
        endpoint = chat.endpoint(**options)
        assert ask_together(endpoint, "a")[0].text == "echo a"
        dial.now += 1
        chat.plan = lambda call, prompt: OUTAGES[name]
        results = ask_together(endpoint, "x", "y")
        dial.now += 1
        chat.plan = lambda call, prompt: answer
        assert ask_together(endpoint, "x")[0].text == "echo x"
    assert [type(error) for error in results] == [Unreachable, Unreachable]


@pytest.mark.slow
def test_a_busy_server_is_waited_for_as_long_as_nobody_is_answered():
    """It is retried for 15 minutes, though six tries are over in seconds."""
    dial = Dial()

    def plan(call, prompt):
        return answer if dial.now > 600 else send(503)

    with FakeChat(plan) as chat:
        limiter = Limiter(clock=lambda: dial.now, sleep=dial.sleep)
        options = {"policy": RetryPolicy(), "limiter": limiter, "clock": dial.world}
        endpoint = chat.endpoint(**options)
        assert ask_together(endpoint, "x")[0].text == "echo x"
        assert 600 < dial.now < 640
        chat.plan = lambda call, prompt: send(503)
        began = dial.now = dial.now + 1
        (result,) = ask_together(endpoint, "y")
    assert type(result) is Unreachable and 900 < dial.now - began < 940


def test_an_old_outage_takes_no_patience_from_a_new_request():
    dial = Dial()
    with FakeChat() as chat:
        limiter = Limiter(clock=lambda: dial.now, sleep=dial.sleep)
        options = {"policy": RetryPolicy(), "limiter": limiter, "clock": dial.world}
        endpoint = chat.endpoint(**options)
        ask_together(endpoint, "a")
        chat.plan = lambda call, prompt: send(503)
        assert type(*ask_together(endpoint, "b")) is Unreachable
        dial.now += 5000
        back = dial.now + 600
        chat.plan = lambda call, prompt: answer if dial.now > back else send(503)
        assert ask_together(endpoint, "c")[0].text == "echo c"


@pytest.mark.parametrize("wait", [20, 300])
def test_one_unreachable_verdict_ends_all_waiting_requests(wait):
    """All 24 requests stop after 15 minutes and three times the Retry-After.

    The clock runs 500 times as fast.
    """
    clock = lambda: 500 * time.monotonic()  # noqa: E731
    sleep = lambda seconds: asyncio.sleep(seconds / 500)  # noqa: E731
    with FakeChat() as chat:
        limiter, clock_ = Limiter(clock=clock, sleep=sleep), Clock(clock, sleep=sleep)
        endpoint = chat.endpoint(policy=RetryPolicy(), limiter=limiter, clock=clock_)
        ask_together(endpoint, "a")
        chat.plan = lambda call, prompt: send(429, Retry_After=str(wait))
        began = clock()
        results = ask_together(endpoint, *map(str, range(24)))
        assert 900 < clock() - began < 900 + 3 * wait + 300
        chat.plan = lambda call, prompt: answer
        assert ask_together(endpoint, "x")[0].text == "echo x"
    assert {type(error) for error in results} == {Unreachable}


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 302])
def test_a_page_in_between_ends_nothing(status):
    """After a reply, these statuses do not mean a wrong key or address."""
    with FakeChat() as chat:
        endpoint = chat.endpoint()
        ask_together(endpoint, "a")
        chat.plan = lambda call, prompt: answer if call else send(status, PAGE)
        assert ask_together(endpoint, "x")[0].text == "echo x"


@pytest.mark.parametrize("status", [403, 404, 405])
def test_one_request_that_is_denied_is_not_all_of_them(status):
    """A filter in front of the server may deny a single request."""
    with FakeChat(lambda _, p: send(status, PAGE) if p == "x" else answer) as chat:
        endpoint = chat.endpoint()
        result, reply = ask_together(endpoint, "x", "a")
    assert type(result) is Unanswered and reply.text == "echo a"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 302])
def test_a_wrong_key_or_address_is_a_mistake(status):
    with FakeChat(lambda call, prompt: send(status)) as chat:
        results = ask_together(chat.endpoint(), "x", "y")
        assert [type(error) for error in results] == [RequestError] * 2
        final = status in (401, 402)
        assert chat.health_checks == (0 if final else 2)


def test_a_refusal_of_what_makes_no_sense_is_an_answer():
    """A health check that is rejected as invalid counts as answered."""
    body = json.dumps({"error": {"message": "no"}}).encode()
    with FakeChat(lambda _, p: hang if p == "x" else send(400, body)) as chat:
        (result,) = ask_together(chat.endpoint(policy=SHORT), "x")
    assert type(result) is Unanswered
