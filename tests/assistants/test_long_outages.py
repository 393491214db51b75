"""Servers that fail for minutes: nobody fails but who is to blame, and few calls are
made.  Time is simulated; endpoints are real but for the last step, the wire."""

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
FLYING = 16


class Jump(selectors.SelectSelector):
    """Where all wait, time jumps to when the first is done."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


class Simulated:
    """A server ``plan(seconds, prompt, chance)`` that raises, waits or does neither."""

    def __init__(self, plan):
        self.plan, self.calls = plan, Counter()
        self.chance = random.Random(5)

    async def complete(self, messages, settings):
        prompt = messages[-1].text
        self.calls[prompt] += 1
        await self.plan(asyncio.get_running_loop().time(), prompt, self.chance.random())
        return Completion("yes", "stop", 1, 1)


def outcomes(plan):
    """What becomes of all prompts, asked sixteen at a time; the server; and when."""
    jump = Jump()
    loop = asyncio.SelectorEventLoop(jump)
    loop.time = lambda: jump.now
    chance = random.Random(7).random
    world = Clock(monotonic=loop.time, sleep=asyncio.sleep, uniform=chance)
    limiter = Limiter(FLYING, FLYING, loop.time, asyncio.sleep)
    endpoint = Endpoint("http://127.0.0.1:1", "m", limiter=limiter, clock=world)
    server = Simulated(plan)
    object.__setattr__(endpoint._client, "client", server)

    async def main():
        crowd = asyncio.Semaphore(FLYING)

        async def one(prompt):
            async with crowd:
                return await endpoint.reply([("user", prompt)])

        return await asyncio.gather(*map(one, PROMPTS), return_exceptions=True)

    try:
        found = loop.run_until_complete(main())
        return dict(zip(PROMPTS, found, strict=True)), server, jump.now
    finally:
        loop.close()


def failed(found, kind=Unanswered):
    return {prompt for prompt, what in found.items() if type(what) is kind}


async def rolling_restart(now, prompt, chance):
    """In flight is answered, new is refused, for 45 s."""
    await asyncio.sleep(0.2 if now < 2 else 0)
    if 2 < now < 47:
        raise ServerBusy("status 503: draining")
    await asyncio.sleep(4 if now < 2 and chance < 0.2 else 0.3)


async def dead_backend(now, prompt, chance):
    """A proxy that takes connections and loses them, for a minute."""
    if 1 < now < 61:
        raise ServerFailure("the connection failed: lost")
    await asyncio.sleep(0.3)


async def dead_engine(now, prompt, chance):
    """All is answered with an error, for ten minutes."""
    if 1 < now < 600:
        raise ServerFailure("status 500")
    await asyncio.sleep(0.3)


async def silence(now, prompt, chance):
    """No reply comes, for five minutes."""
    if 1 < now < 300:
        await asyncio.sleep(120)
        raise ServerFailure("no whole reply within 120 s")
    await asyncio.sleep(0.3)


async def page_in_between(now, prompt, chance):
    """Somebody else answers, for 20 s."""
    if 1 < now < 21:
        raise AccessDenied(403, "status 403")
    await asyncio.sleep(0.3)


async def flapping(now, prompt, chance):
    """A minute of nothing, then each second request for another one."""
    if 3 < now < 60 or (60 < now < 120 and chance < 0.5):
        raise ServerBusy("status 503")
    await asyncio.sleep(0.3)


async def crowded(now, prompt, chance):
    """Four requests a second are taken at most, and nobody says when to come again."""
    if chance < 0.7:
        raise RateLimited("status 429")
    await asyncio.sleep(0.3)


async def hurrying(now, prompt, chance):
    """Nothing for five minutes, with the advice to come again in 10 ms."""
    if 1 < now < 300:
        raise ServerBusy("status 503", wait=0.01)
    await asyncio.sleep(0.3)


async def silent_after_advice(now, prompt, chance):
    """A server that names a wait, and is gone after it."""
    if 1 < now < 20:
        raise ServerBusy("status 503", wait=1.0)
    if 20 < now < 300:
        raise ServerFailure("the connection failed: lost")
    await asyncio.sleep(0.3)


SPELLS = [rolling_restart, dead_backend, dead_engine, silence, page_in_between]
SPELLS += [flapping, crowded, hurrying, silent_after_advice]


@pytest.mark.parametrize("plan", SPELLS, ids=lambda plan: plan.__name__)
def test_an_outage_is_nobodys_fault(plan):
    found, server, _ = outcomes(plan)
    assert not {p: str(why) for p, why in found.items() if isinstance(why, Exception)}
    assert sum(server.calls.values()) < 600


def blamed(cause, seconds=0.3):
    async def plan(now, prompt, chance):
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
def test_who_fails_beside_others_is_to_blame(cause, seconds):
    found, server, _ = outcomes(blamed(cause, seconds))
    assert failed(found) == GUILTY
    assert all(server.calls[p] == 1 for p in PROMPTS if p not in GUILTY)
    assert max(server.calls.values()) <= 32


def test_requests_that_break_the_server_fail_alone():
    """Each of nine lets it restart for 15 s, in which all others are refused."""
    down = 0.0

    async def plan(now, prompt, chance):
        nonlocal down
        if now < down:
            raise ServerBusy("status 503: restarting")
        if prompt in GUILTY:
            down = now + 15
            raise ServerFailure("the connection failed: lost")
        await asyncio.sleep(0.2)

    found, _, _ = outcomes(plan)
    assert failed(found) == GUILTY


@pytest.mark.parametrize(
    "cause",
    [ServerBusy, ServerFailure, RateLimited, lambda reason: AccessDenied(403, reason)],
)
def test_a_server_that_never_comes_back_stops_the_run(cause):
    """After a quarter of an hour; sooner if the address or the key may be wrong."""

    async def plan(now, prompt, chance):
        await asyncio.sleep(0.3)
        if now > 1:
            raise cause("status 5xx")

    found, _, now = outcomes(plan)
    assert len(failed(found, Unreachable)) == 32 and not failed(found)
    assert now < 2 * 1000  # twice sixteen


def test_a_server_that_dislikes_a_short_question_answers_others():
    """One prompt is the last one and hangs, the shortest question fails."""

    async def plan(now, prompt, chance):
        if prompt == QUESTIONS[0]:
            raise ServerFailure("status 500: too short")
        await asyncio.sleep(120 if prompt in GUILTY else 1)
        if prompt in GUILTY:
            raise ServerFailure("no whole reply within 120 s")

    found, _, _ = outcomes(plan)
    assert failed(found) == GUILTY
