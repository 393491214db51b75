"""Outages of minutes: only requests at fault fail, and few calls are made.

Time is simulated.  Endpoints are real, except that the HTTP client is replaced.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter

import pytest

from heliostat.assistants import Endpoint, Limiter, Unanswered, Unreachable
from heliostat.assistants.failures import (
    AccessDenied,
    RateLimited,
    ServerBusy,
    ServerFailure,
)
from heliostat.assistants.health import QUESTIONS
from heliostat.assistants.providers import Completion
from heliostat.assistants.retry import Clock

PROMPTS = [f"question {n}" for n in range(96)]
GUILTY = {prompt for n, prompt in enumerate(PROMPTS) if n % 11 == 5}
IN_FLIGHT = 16


class SimulatedTime(selectors.SelectSelector):
    """Selector that advances time to the next event instead of waiting."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


class Simulated:
    """Server whose ``plan(seconds, prompt, uniform)`` raises, waits or returns."""

    def __init__(self, plan):
        self.plan, self.calls = plan, Counter()
        self.chance = random.Random(5)

    async def complete(self, messages, settings):
        prompt = messages[-1].text
        self.calls[prompt] += 1
        await self.plan(asyncio.get_running_loop().time(), prompt, self.chance.random())
        return Completion("yes", "stop", 1, 1)


def outcomes(plan):
    """Send all prompts, sixteen at a time; return results, server and duration."""
    simulated = SimulatedTime()
    loop = asyncio.SelectorEventLoop(simulated)
    loop.time = lambda: simulated.now
    uniform = random.Random(7).random
    clock = Clock(monotonic=loop.time, sleep=asyncio.sleep, uniform=uniform)
    limiter = Limiter(IN_FLIGHT, IN_FLIGHT, loop.time, asyncio.sleep)
    endpoint = Endpoint("http://127.0.0.1:1", "m", limiter=limiter, clock=clock)
    server = Simulated(plan)
    object.__setattr__(endpoint._client, "client", server)

    async def main():
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def one(prompt):
            async with slots:
                return await endpoint.reply([("user", prompt)])

        return await asyncio.gather(*map(one, PROMPTS), return_exceptions=True)

    try:
        results = loop.run_until_complete(main())
        return dict(zip(PROMPTS, results, strict=True)), server, simulated.now
    finally:
        loop.close()


def failed(results, kind=Unanswered):
    return {prompt for prompt, what in results.items() if type(what) is kind}


async def rolling_restart(now, prompt, uniform):
    """Requests in flight are answered, new ones refused, for 45 s."""
    await asyncio.sleep(0.2 if now < 2 else 0)
    if 2 < now < 47:
        raise ServerBusy("status 503: draining")
    await asyncio.sleep(4 if now < 2 and uniform < 0.2 else 0.3)


async def dead_backend(now, prompt, uniform):
    """A proxy accepts connections and loses them, for a minute."""
    if 1 < now < 61:
        raise ServerFailure("the connection failed: lost")
    await asyncio.sleep(0.3)


async def dead_engine(now, prompt, uniform):
    """Every request gets an error, for ten minutes."""
    if 1 < now < 600:
        raise ServerFailure("status 500")
    await asyncio.sleep(0.3)


async def silence(now, prompt, uniform):
    """No reply comes, for five minutes."""
    if 1 < now < 300:
        await asyncio.sleep(120)
        raise ServerFailure("no whole reply within 120 s")
    await asyncio.sleep(0.3)


async def page_in_between(now, prompt, uniform):
    """A proxy denies access, for 20 s."""
    if 1 < now < 21:
        raise AccessDenied(403, "status 403")
    await asyncio.sleep(0.3)


async def flapping(now, prompt, uniform):
    """All requests fail for a minute, then every second one for another minute."""
    if 3 < now < 60 or (60 < now < 120 and uniform < 0.5):
        raise ServerBusy("status 503")
    await asyncio.sleep(0.3)


async def crowded(now, prompt, uniform):
    """Seven requests of ten are refused, without a Retry-After."""
    if uniform < 0.7:
        raise RateLimited("status 429")
    await asyncio.sleep(0.3)


async def hurrying(now, prompt, uniform):
    """All requests fail for five minutes, with a Retry-After of 10 ms."""
    if 1 < now < 300:
        raise ServerBusy("status 503", wait=0.01)
    await asyncio.sleep(0.3)


async def silent_after_advice(now, prompt, uniform):
    """A server asks for a wait, and then loses all connections."""
    if 1 < now < 20:
        raise ServerBusy("status 503", wait=1.0)
    if 20 < now < 300:
        raise ServerFailure("the connection failed: lost")
    await asyncio.sleep(0.3)


SPELLS = [rolling_restart, dead_backend, dead_engine, silence, page_in_between]
SPELLS += [flapping, crowded, hurrying, silent_after_advice]


@pytest.mark.parametrize("plan", SPELLS, ids=lambda plan: plan.__name__)
def test_an_outage_fails_no_request(plan):
    results, server, _ = outcomes(plan)
    assert not {p: str(why) for p, why in results.items() if isinstance(why, Exception)}
    assert sum(server.calls.values()) < 600


def blamed(cause, seconds=0.3):
    async def plan(now, prompt, uniform):
        await asyncio.sleep(seconds)
        if prompt in GUILTY:
            raise cause()

    return plan


@pytest.mark.parametrize(
    "cause",
    [
        lambda: ServerBusy("status 503"),
        lambda: ServerFailure("status 500"),
        lambda: AccessDenied(403, "status 403"),
        lambda: RateLimited("status 429"),
    ],
)
@pytest.mark.parametrize("seconds", [0.001, 5.0])
def test_a_request_that_fails_while_others_succeed_is_unanswered(cause, seconds):
    results, server, _ = outcomes(blamed(cause, seconds))
    assert failed(results) == GUILTY
    assert all(server.calls[p] == 1 for p in PROMPTS if p not in GUILTY)
    assert max(server.calls.values()) <= 32


def test_requests_that_break_the_server_fail_alone():
    """Each of nine requests crashes it: for 15 s all others are refused."""
    down = 0.0

    async def plan(now, prompt, uniform):
        nonlocal down
        if now < down:
            raise ServerBusy("status 503: restarting")
        if prompt in GUILTY:
            down = now + 15
            raise ServerFailure("the connection failed: lost")
        await asyncio.sleep(0.2)

    results, _, _ = outcomes(plan)
    assert failed(results) == GUILTY


@pytest.mark.parametrize(
    "cause",
    [ServerBusy, ServerFailure, RateLimited, lambda reason: AccessDenied(403, reason)],
)
def test_a_server_that_never_comes_back_stops_the_run(cause):
    """The run stops after 15 minutes, or sooner if the key may be wrong."""

    async def plan(now, prompt, uniform):
        await asyncio.sleep(0.3)
        if now > 1:
            raise cause("status 5xx")

    results, _, now = outcomes(plan)
    assert len(failed(results, Unreachable)) == 32 and not failed(results)
    assert now < 2 * 1000  # twice sixteen


def test_a_server_that_dislikes_a_short_question_answers_others():
    """Some prompts time out, and the first health check fails."""

    async def plan(now, prompt, uniform):
        if prompt == QUESTIONS[0]:
            raise ServerFailure("status 500: too short")
        await asyncio.sleep(120 if prompt in GUILTY else 1)
        if prompt in GUILTY:
            raise ServerFailure("no whole reply within 120 s")

    results, _, _ = outcomes(plan)
    assert failed(results) == GUILTY
