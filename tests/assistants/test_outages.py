"""Whether the server fails or a request: a request ends alone, or the run stops."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from support.chat_server import HASTY, FakeChat, answer, hang, send

from heliostat.assistants import Endpoint, Limiter, RetryPolicy, Unanswered, Unreachable
from heliostat.assistants.retry import Clock
from heliostat.errors import RequestError

PAGE = b"<html><h1>Forbidden</h1></html>"
SHORT = HASTY._replace(timeout=0.2, silence=0.02)
OUTAGES = {
    "hangs": hang,
    "is busy": send(503),
    "stands behind a gateway": send(504, PAGE),
    "refuses": send(429),
    "denies": send(403, PAGE),
}


def asked(endpoint: Endpoint, *prompts: str):
    """What becomes of requests that are made at the same time."""

    async def main():
        replies = (endpoint.reply([("user", prompt)]) for prompt in prompts)
        return await asyncio.gather(*replies, return_exceptions=True)

    return asyncio.run(main())


class Dial:
    """Time that passes only where somebody waits."""

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
    """Whether it is the last one or not: the server answers another question."""
    with FakeChat(lambda _, prompt: OUTAGES[name] if prompt == "x" else answer) as chat:
        endpoint = chat.endpoint(policy=SHORT)
        for _ in range(2):  # never heard of, then known
            (found,) = asked(endpoint, "x")
            assert type(found) is Unanswered
        *others, found = asked(endpoint, "a", "b", "x")
    assert [reply.text for reply in others] == ["echo a", "echo b"]
    assert type(found) is Unanswered


@pytest.mark.parametrize("name", OUTAGES)
def test_where_nobody_is_answered_any_more_it_is_the_server(name):
    with FakeChat() as chat:
        dial = Dial()
        limiter = Limiter(clock=lambda: dial.now, sleep=dial.sleep)
        options = {"policy": SHORT, "limiter": limiter, "clock": dial.world}
        endpoint = chat.endpoint(**options)
        assert asked(endpoint, "a")[0].text == "echo a"
        dial.now += 1
        chat.plan = lambda call, prompt: OUTAGES[name]
        found = asked(endpoint, "x", "y")
        dial.now += 1
        chat.plan = lambda call, prompt: answer
        assert asked(endpoint, "x")[0].text == "echo x"
    assert [type(error) for error in found] == [Unreachable, Unreachable]


def test_a_busy_server_is_waited_for_as_long_as_nobody_is_answered():
    """A quarter of an hour, though six tries are over in seconds."""
    dial = Dial()

    def plan(call, prompt):
        return answer if dial.now > 600 else send(503)

    with FakeChat(plan) as chat:
        limiter = Limiter(clock=lambda: dial.now, sleep=dial.sleep)
        options = {"policy": RetryPolicy(), "limiter": limiter, "clock": dial.world}
        endpoint = chat.endpoint(**options)
        assert asked(endpoint, "x")[0].text == "echo x"
        assert 600 < dial.now < 640
        chat.plan = lambda call, prompt: send(503)
        began = dial.now = dial.now + 1
        (found,) = asked(endpoint, "y")
    assert type(found) is Unreachable and 900 < dial.now - began < 940


def test_an_old_outage_takes_no_patience_from_a_new_request():
    dial = Dial()
    with FakeChat() as chat:
        limiter = Limiter(clock=lambda: dial.now, sleep=dial.sleep)
        options = {"policy": RetryPolicy(), "limiter": limiter, "clock": dial.world}
        endpoint = chat.endpoint(**options)
        asked(endpoint, "a")
        chat.plan = lambda call, prompt: send(503)
        assert type(*asked(endpoint, "b")) is Unreachable
        dial.now += 5000
        back = dial.now + 600
        chat.plan = lambda call, prompt: answer if dial.now > back else send(503)
        assert asked(endpoint, "c")[0].text == "echo c"


@pytest.mark.parametrize("wait", [20, 300])
def test_what_one_finds_out_holds_for_all_that_wait(wait):
    """However many there are: a quarter of an hour, and three waits that it names. Time
    goes 500 times as fast, so that requests take some seconds of it."""
    clock = lambda: 500 * time.monotonic()  # noqa: E731
    sleep = lambda seconds: asyncio.sleep(seconds / 500)  # noqa: E731
    with FakeChat() as chat:
        limiter, world = Limiter(clock=clock, sleep=sleep), Clock(clock, sleep=sleep)
        endpoint = chat.endpoint(policy=RetryPolicy(), limiter=limiter, clock=world)
        asked(endpoint, "a")
        chat.plan = lambda call, prompt: send(429, Retry_After=str(wait))
        began = clock()
        found = asked(endpoint, *map(str, range(24)))
        assert 900 < clock() - began < 900 + 3 * wait + 300
        chat.plan = lambda call, prompt: answer
        assert asked(endpoint, "x")[0].text == "echo x"
    assert {type(error) for error in found} == {Unreachable}


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 302])
def test_a_page_in_between_ends_nothing(status):
    """What would mean a wrong key or address, had nobody been answered."""
    with FakeChat() as chat:
        endpoint = chat.endpoint()
        asked(endpoint, "a")
        chat.plan = lambda call, prompt: answer if call else send(status, PAGE)
        assert asked(endpoint, "x")[0].text == "echo x"


@pytest.mark.parametrize("status", [403, 404, 405])
def test_one_request_that_is_denied_is_not_all_of_them(status):
    """Such as one that a filter in front of the server does not like."""
    with FakeChat(lambda _, p: send(status, PAGE) if p == "x" else answer) as chat:
        endpoint = chat.endpoint()
        found, reply = asked(endpoint, "x", "a")
    assert type(found) is Unanswered and reply.text == "echo a"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 302])
def test_a_wrong_key_or_address_is_a_mistake(status):
    with FakeChat(lambda call, prompt: send(status)) as chat:
        found = asked(chat.endpoint(), "x", "y")
        assert [type(error) for error in found] == [RequestError] * 2
        final = status in (401, 402)
        assert chat.health_checks == (0 if final else 2)


def test_a_refusal_of_what_makes_no_sense_is_an_answer():
    """The shortest question may be too long, too short or not allowed."""
    said = json.dumps({"error": {"message": "no"}}).encode()
    with FakeChat(lambda _, p: hang if p == "x" else send(400, said)) as chat:
        (found,) = asked(chat.endpoint(policy=SHORT), "x")
    assert type(found) is Unanswered
