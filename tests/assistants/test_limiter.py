"""Limiter: requests in flight shrink with refusals, grow with replies, have a limit."""

from __future__ import annotations

import asyncio
import math
import threading
from email.utils import formatdate

import pytest
from support.chat_server import FAST_POLICY, FakeChat, answer, send

from heliostat.assistants import Limiter, Unreachable
from heliostat.assistants.failures import RateLimited, retry_after
from heliostat.assistants.retry import Attempts, Clock, RetryPolicy, backoff


class Dial:
    """Clock that only sleeping advances."""

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


async def _crowd(limiter, size, work):
    """Run so many tasks; return the largest number that held a slot together."""
    inside, most = 0, 0

    async def one(number):
        nonlocal inside, most
        async with limiter.slot() as sent:
            inside += 1
            most = max(most, inside)
            assert inside <= limiter.maximum
            await asyncio.sleep(0)
            work(number, sent)
            inside -= 1

    await asyncio.gather(*(one(n) for n in range(size)))
    return most


def test_a_round_trip_of_replies_adds_one():
    limiter = Limiter(maximum=100, initial=10)
    for _ in range(10):
        limiter.report_reply(0)
    assert limiter.limit == pytest.approx(11, abs=0.05)


def test_a_round_trip_of_refusals_halves_once():
    limiter = Limiter(maximum=100, initial=16)
    for _ in range(16):
        limiter.report_refusal(0)  # all sent before the first refusal came back
    assert limiter.limit == 8
    limiter.report_reply(0)  # old news
    assert limiter.limit == 8
    limiter.report_refusal(1)
    assert limiter.limit == 4


def test_the_limit_stays_between_one_and_most():
    limiter = Limiter(maximum=3, initial=9)
    assert limiter.limit == 3
    for _ in range(50):
        limiter.report_reply(0)
    assert limiter.limit == 3
    for sent in range(50):
        limiter.report_refusal(sent)
    assert limiter.limit == 1


def test_as_many_are_inside_as_the_limit_says():
    limiter = Limiter(maximum=5, initial=5)
    assert asyncio.run(_crowd(limiter, 40, lambda n, sent: None)) == 5


def test_all_get_a_turn_whatever_the_refusals():
    limiter, done = Limiter(maximum=8, initial=8), []

    def work(number, sent):
        report = limiter.report_refusal if number % 3 == 0 else limiter.report_reply
        report(sent)
        done.append(number)

    asyncio.run(_crowd(limiter, 60, work))
    assert sorted(done) == list(range(60))


def test_event_loops_come_and_go():
    limiter = Limiter(maximum=2, initial=2)
    for _ in range(3):
        assert asyncio.run(_crowd(limiter, 9, lambda n, sent: None)) == 2


def test_who_is_cancelled_takes_no_turn():
    async def main():
        limiter = Limiter(maximum=1)
        async with limiter.slot():
            tasks = [asyncio.create_task(_crowd(limiter, 1, print)) for _ in "abc"]
            await asyncio.sleep(0)
            tasks[0].cancel()
            await asyncio.sleep(0)
        tasks[1].cancel()  # whose turn it is by now
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(asyncio.wait_for(main(), 5))
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, asyncio.CancelledError)
    assert third == 1


def test_a_pause_is_for_everybody():
    dial = Dial()
    limiter = Limiter(maximum=4, clock=dial.clock, sleep=dial.sleep)
    limiter.pause(30.0)
    limiter.pause(10.0)  # shorter: changes nothing
    begun = []
    asyncio.run(_crowd(limiter, 6, lambda n, sent: begun.append(dial.now)))
    assert begun == [1030.0] * 6


def test_waits_double_and_are_jittered_by_a_half():
    patience = RetryPolicy(first_wait=1.0, longest_wait=10.0)
    assert [backoff(n, patience, 0.0) for n in (1, 2, 3, 4, 5)] == [0.5, 1, 2, 4, 5]
    assert backoff(3, patience, 0.999) == pytest.approx(4, rel=1e-3)
    assert backoff(10_000, patience, 0.0) == 5


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("99999", 60.0),
        (formatdate(1_000_020, usegmt=True), 20.0),
        (formatdate(900_000, usegmt=True), 0.0),
        (formatdate(9_000_000, usegmt=True), 60.0),
        *[(odd, None) for odd in (None, "", "nan", "inf", "soon", "7 s", "Mon, 99")],
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(header, seconds):
    assert retry_after(header, now=1_000_000.0, longest=60.0) == seconds


def test_retry_after_is_honoured_at_the_server():
    dial, late = Dial(), []

    def plan(call, prompt):
        late.append(dial.now)
        return send(429, Retry_After="20") if call == 0 else answer

    with FakeChat(plan) as chat:
        limiter = Limiter(maximum=1, clock=dial.clock, sleep=dial.sleep)
        world = Clock(monotonic=dial.clock, sleep=dial.sleep, uniform=lambda: 0.0)
        endpoint = chat.endpoint(limiter=limiter, clock=world)
        assert asyncio.run(endpoint.reply([("user", "x")])).text == "echo x"
    assert late == [1000.0, 1020.0] and dial.slept == [20.0]


def test_refusals_without_end_have_an_end():
    with FakeChat(lambda call, prompt: send(429)) as chat:
        endpoint = chat.endpoint(policy=FAST_POLICY._replace(rate_limited=4))
        with pytest.raises(Unreachable, match="429"):
            asyncio.run(endpoint.reply([("user", "x")]))
        assert chat.calls["x"] == 4 and chat.health_checks == 1
    assert endpoint.limiter.limit == 1


def test_a_server_that_answers_nobody_is_given_up_after_a_quarter_of_an_hour():
    """It asks for a minute each time: 15 minutes pass before 30 refusals."""
    dial = Dial()
    with FakeChat(lambda call, prompt: send(429, Retry_After="60")) as chat:
        limiter = Limiter(maximum=1, clock=dial.clock, sleep=dial.sleep)
        world = Clock(monotonic=dial.clock, sleep=dial.sleep, uniform=lambda: 0.0)
        endpoint = chat.endpoint(limiter=limiter, clock=world, policy=RetryPolicy())
        with pytest.raises(Unreachable, match="status 429; tried 16 times"):
            asyncio.run(endpoint.reply([("user", "x")]))
    assert dial.now == 1000 + 16 * 60  # the last is for the shortest question


def test_a_server_that_answers_others_is_given_more_time():
    """With a refusal a minute, 15 minutes of silence or 30 refusals are the limit."""
    for heard, enough in ((0, 17), (8, 25), (39, 30)):
        dial, patience = Dial(), RetryPolicy()
        limiter = Limiter(clock=dial.clock)
        tries, over = Attempts(patience, dial.now), []
        for minute in range(40):
            if 0 < minute <= heard:
                limiter.report_response()
            limiter.report_failure()
            tries.add(RateLimited("429"))
            over.append(tries.exhausted or limiter.silence(1000) > patience.silence)
            dial.now += 60
        assert 1 + over.index(True) == enough


@pytest.mark.parametrize("status", [500, 503, 408])
def test_errors_do_not_shrink_the_limit(status):
    with FakeChat(lambda call, prompt: answer if call else send(status)) as chat:
        endpoint = chat.endpoint(limiter=Limiter(initial=8))
        asyncio.run(endpoint.reply([("user", "x")]))
    assert endpoint.limiter.limit == pytest.approx(8.125)


def _asked(endpoint, prompts):
    async def main():
        return await asyncio.gather(*(endpoint.reply([("user", p)]) for p in prompts))

    return asyncio.run(main())


def test_the_server_sees_fewer_after_refusals_and_more_again():
    """Twelve meet in the server, which refuses them; in the end twelve meet again."""
    twelve = threading.Barrier(12)

    def plan(call, prompt):
        if call == 0 and "at once" in prompt:
            twelve.wait(60)
        refused = call == 0 and "refused" in prompt
        return send(429, Retry_After="1") if refused else answer

    with FakeChat(plan) as chat:
        endpoint = chat.endpoint(limiter=Limiter(maximum=12, initial=12))
        _asked(endpoint, [f"{n} of those at once, refused" for n in range(12)])
        assert 6 < endpoint.limiter.limit < 8  # halved once, then twelve replies
        assert math.fsum(chat.loads[12:]) / 12 < 10
        _asked(endpoint, [f"{n} of those in between" for n in range(90)])
        assert endpoint.limiter.limit == 12
        _asked(endpoint, [f"{n} of those at once" for n in range(12)])
        assert max(chat.loads[-12:]) >= 12
