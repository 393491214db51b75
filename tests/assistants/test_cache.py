"""Each request is sent and charged once, through kills, duplicates and damage."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from support import chat_server
from support.chat_server import HELLO, FakeChat, ask, send

from heliostat.assistants import (
    Budget,
    BudgetExhausted,
    Cached,
    Prices,
    Reply,
    ReplyCache,
    Scripted,
    Settings,
    Spent,
    Unanswered,
    request_key,
)
from heliostat.errors import RequestError, StoreError

PRICES = Prices(prompt=1e6, completion=1e6)  # one unit of money a token
BUDGET = Budget("run", PRICES)


@pytest.fixture
def replies(tmp_path):
    cache = ReplyCache(tmp_path / "replies.sqlite")
    yield cache
    cache.close()


def ask_together(assistant, prompts):
    async def main():
        requests = (assistant.reply([("user", p)]) for p in prompts)
        return await asyncio.gather(*requests, return_exceptions=True)

    return asyncio.run(main())


def test_the_second_time_a_reply_is_found_and_costs_nothing(replies):
    with FakeChat() as chat:
        assistant = Cached(chat.endpoint(), BUDGET, replies)
        first, second = ask(assistant), ask(assistant)
    assert not first.cached and second == first._replace(cached=True)
    assert chat.calls == {"hello": 1}
    assert replies.spent("run") == Spent(1, 10, 2, 12.0)
    assert replies.spent("another") == Spent()


def test_equal_requests_at_the_same_time_ask_once(replies):
    with FakeChat(delay=0.05) as chat:
        results = ask_together(Cached(chat.endpoint(), BUDGET, replies), ["x"] * 8)
    assert chat.calls == {"x": 1} and [r.cached for r in results].count(True) == 7


def test_a_request_without_an_answer_is_not_kept(replies):
    with FakeChat(lambda call, prompt: send(400)) as chat:
        assistant = Cached(chat.endpoint(), BUDGET, replies)
        for _ in "ab":
            with pytest.raises(Unanswered):
                ask(assistant)
    assert chat.calls == {"hello": 2} and replies.spent("run") == Spent()


OTHERS = {
    "name": ("b", HELLO, Settings(), 0),
    "text": ("a", [("user", "hello ")], Settings(), 0),
    "role": ("a", [("system", "hello")], Settings(), 0),
    "turns": ("a", [*HELLO, *HELLO], Settings(), 0),
    "split": ("a", [("user", "hel"), ("user", "lo")], Settings(), 0),
    "temperature": ("a", HELLO, Settings(temperature=0.0), 0),
    "no temperature": ("a", HELLO, Settings(temperature=None), 0),
    "length": ("a", HELLO, Settings(max_tokens=255), 0),
    "seed": ("a", HELLO, Settings(seed=0), 0),
    "stop": ("a", HELLO, Settings(stop=("x",)), 0),
    "grammar": ("a", HELLO, Settings(grammar="x"), 0),
    "epoch": ("a", HELLO, Settings(), 1),
}


def test_whatever_shapes_a_reply_is_in_its_key():
    keys = {request_key(*other) for other in OTHERS.values()}
    same = {
        request_key("a", HELLO, Settings(), 0),
        request_key("a", (("user", "hello"),), Settings(temperature=1), 0),
    }
    assert len(keys) == len(OTHERS) and len(same) == 1 and not keys & same


def test_any_text_is_kept_as_it_is(replies):
    text = "\u2028\x1b[0m 'quoted' \"twice\" \\ \U0001f600\ufffd\n"
    replies.store("k", Reply(text, 1, 2, finish="cut"), BUDGET, None)
    assert replies.find("k") == Reply(text, 1, 2, cached=True, finish="cut")


def test_a_cap_is_not_exceeded_and_what_is_in_flight_is_kept(replies):
    """A reply costs 10 + 2 tokens; its reservation is the worst case, 21 + 4."""
    settings = Settings(max_tokens=4)
    budget = BUDGET._replace(cap=100.0)

    async def main(assistant):
        requests = (assistant.reply([("user", f"{n:05}")], settings) for n in range(30))
        return await asyncio.gather(*requests, return_exceptions=True)

    with FakeChat(delay=0.05) as chat:
        assistant = Cached(chat.endpoint(), budget, replies)
        results = asyncio.run(main(assistant))
        while any(
            isinstance(result, Reply) and not result.cached for result in results
        ):
            assert replies.spent("run").money <= 100
            results = asyncio.run(main(assistant))
    stored = [result for result in results if isinstance(result, Reply)]
    assert all(
        isinstance(result, BudgetExhausted)
        for result in results
        if result not in stored
    )
    assert len(stored) == sum(chat.calls.values()) == replies.spent("run").replies == 7
    assert replies.spent("run").money == 7 * 12  # one more could cost 25


def test_a_higher_cap_goes_on_where_the_lower_one_ended(replies):
    """A reply costs 2; its reservation is 16 + 5 + 256 = 277."""
    assistant = Scripted(lambda messages, epoch, u: "yes", "s")
    poor = Cached(assistant, BUDGET._replace(cap=278.0), replies)
    results = [ask(poor)]
    with pytest.raises(BudgetExhausted, match=r"cap of 278 .* ledger run"):
        ask(poor, epoch=1)
    rich = Cached(assistant, BUDGET._replace(cap=900.0), replies)
    results += [ask(rich, epoch=n) for n in range(3)]
    assert [reply.cached for reply in results] == [False, True, False, False]


def test_what_others_have_in_flight_counts(replies):
    budget, other = BUDGET._replace(cap=10.0), ReplyCache(replies.path)
    reservation = other.reserve(budget, 6.0)
    with pytest.raises(
        BudgetExhausted, match="6 may be for requests in flight, and 6 "
    ):
        replies.reserve(budget, 6.0)
    other.release(reservation)
    other.close()
    assert replies.reserve(budget, 6.0) and replies.reserve(
        budget._replace(account="b"), 6.0
    )


HOLDER = """
import sys
from heliostat.assistants import Budget, Prices, ReplyCache
held = ReplyCache(sys.argv[1]).reserve(Budget("run", Prices(1e6, 1e6), 10.0), 6.0)
print(held, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_had_reserved_is_free_at_once(replies):
    words = [sys.executable, "-c", HOLDER, str(replies.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as other:
        assert other.stdout is not None and other.stdout.readline().strip() == b"1"
        with pytest.raises(BudgetExhausted, match="6 may be") as refused:
            replies.reserve(BUDGET._replace(cap=10.0), 6.0)
        assert refused.value.in_flight == 6
        other.kill()
        other.wait()
        assert replies.reserve(BUDGET._replace(cap=10.0), 6.0)


def test_a_process_of_another_machine_keeps_its_reservation_for_an_hour(replies):
    """Its end cannot be observed, so its reservation is not waited for."""
    budget = BUDGET._replace(cap=10.0)
    replies.reserve(budget, 6.0)
    with sqlite3.connect(replies.path) as database:
        database.execute("UPDATE held SET host = 'elsewhere', pid = 1")
    with pytest.raises(BudgetExhausted) as refused:
        replies.reserve(budget, 6.0)
    assert refused.value.in_flight == 0
    with database:
        database.execute("UPDATE held SET expires = expires - 3601")
    database.close()
    assert replies.reserve(budget, 6.0)


def test_money_that_another_process_has_reserved_is_waited_for(replies):
    """A reply costs 2; its reservation is 16 + 5 + 256 = 277."""
    assistant = Scripted(lambda messages, epoch, u: "yes", "s")
    budget, other = BUDGET._replace(cap=300.0), ReplyCache(replies.path)
    reservation = other.reserve(budget, 100.0)

    async def main():
        request = asyncio.create_task(Cached(assistant, budget, replies).reply(HELLO))
        await asyncio.sleep(0.2)
        assert not request.done()
        other.release(reservation)
        return await request

    assert asyncio.run(main()).text == "yes"
    other.close()


def test_a_file_that_names_no_processes_is_mended(replies):
    """Version 1, before reservations named their process."""
    replies.store("k", Reply("x", 1, 1), BUDGET, None)
    replies.close()
    with sqlite3.connect(replies.path) as database:
        database.execute("DROP TABLE held")
        database.execute(
            "CREATE TABLE held (id INTEGER PRIMARY KEY, name TEXT, money REAL, "
            "expires REAL)"
        )
        database.execute("INSERT INTO held VALUES (1, 'run', 9, 1e12)")
        database.execute("PRAGMA user_version = 1")
    database.close()
    assert replies.reserve(BUDGET._replace(cap=10.0), 6.0) and replies.find("k")
    assert replies.spent("run").replies == 1


def test_a_failure_frees_what_was_held(replies):
    with FakeChat(lambda call, prompt: send(400)) as chat:
        assistant = Cached(chat.endpoint(), BUDGET._replace(cap=300.0), replies)
        for _ in range(3):
            with pytest.raises(Unanswered):
                ask(assistant)


@pytest.mark.parametrize(
    "budget",
    [
        Budget("x", cap=1.0),
        Budget("x", Prices(-1.0, 1.0)),
        Budget("x", Prices(float("nan"), 1.0)),
        Budget("x", PRICES, cap=-1.0),
        Budget("x", PRICES, cap=float("inf")),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(budget, replies):
    with pytest.raises(RequestError):
        Cached(Scripted(lambda m, e, u: "", "s"), budget, replies)


def test_a_file_that_is_no_database_is_an_error_and_is_left_alone(tmp_path):
    path = tmp_path / "replies.sqlite"
    path.write_bytes(b"my thesis" * 1000)
    with pytest.raises(StoreError, match="cannot be used"):
        ReplyCache(path).find("k")
    assert path.read_bytes() == b"my thesis" * 1000


def test_a_file_of_another_version_is_an_error(tmp_path):
    with sqlite3.connect(tmp_path / "r") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="version 99"):
        ReplyCache(tmp_path / "r").find("k")


def test_a_damaged_reply_is_asked_again(replies):
    with FakeChat() as chat:
        assistant = Cached(chat.endpoint(), BUDGET, replies)
        ask(assistant)
        replies.close()
        raw = replies.path.read_bytes()
        assert raw.count(b"echo hello") == 1
        replies.path.write_bytes(raw.replace(b"echo hello", b"echo jello"))
        with pytest.warns(UserWarning, match="damaged"):
            reply = ask(assistant)
    assert reply.text == "echo hello" and not reply.cached and ask(assistant).cached


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="HELIOSTAT_CACHE"):
        ReplyCache(tmp_path / "file" / "replies.sqlite").find("k")


def test_a_file_that_stays_locked_is_an_error(replies, monkeypatch):
    monkeypatch.setattr("heliostat.assistants.database.LOCK_TIMEOUT", 0.1)
    replies.find("k")
    other = sqlite3.connect(replies.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert replies.find("k") is None  # reading waits for nobody
        with pytest.raises(StoreError, match="locked"):
            replies.store("k", Reply("x", 1, 1), BUDGET, None)
    finally:
        other.close()


def test_the_usual_file_is_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path))
    assert ReplyCache().path == tmp_path / "replies.sqlite"


def test_threads_share_the_replies(replies):
    def work():
        for n in range(20):
            replies.store(f"k{n}", Reply(str(n), 1, 1), BUDGET, None)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert replies.spent("run").replies == 80
    assert [replies.find(f"k{n}").text for n in range(20)] == [*map(str, range(20))]


CLIENT = textwrap.dedent(
    """
    import asyncio, sys
    sys.path.insert(0, {tests!r})
    from heliostat.assistants import *

    async def main():
        limiter = Limiter(maximum={most}, initial={most})
        model = Endpoint({url!r}, "fake", limiter=limiter)
        budget = Budget("run", Prices(1e6, 1e6))
        assistant = Cached(model, budget, ReplyCache({path!r}))

        async def one(n):
            reply = await assistant.reply([("user", f"item {{n}}")])
            print(n, flush=True)
        await asyncio.gather(*(one(n) for n in range({items})))

    asyncio.run(main())
    """
)


def client(chat, path, most=4, items=60):
    tests = str(Path(chat_server.__file__).parents[1])
    code = CLIENT.format(tests=tests, url=chat.url, path=path, most=most, items=items)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def finished_items(process):
    """Return the items whose replies a client printed."""
    out, _ = process.communicate(timeout=60)
    return {int(line) for line in out.splitlines()}


@pytest.mark.slow
def test_what_was_answered_is_never_asked_again_after_a_kill(tmp_path):
    path, finished = str(tmp_path / "replies.sqlite"), set()
    with FakeChat(delay=0.01) as chat:
        for kill in range(1, 4):
            process = client(chat, path)
            deadline = time.monotonic() + 30
            while sum(chat.answered.values()) < 12 * kill:
                assert time.monotonic() < deadline, "waited in vain"
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            finished |= finished_items(process)
            calls = chat.calls.copy()
            again = [n for n in finished if calls[f"item {n}"] > kill]
            assert not again
        before = {f"item {n}": chat.calls[f"item {n}"] for n in finished}
        assert finished and finished_items(client(chat, path)) == set(range(60))
        assert {item: chat.calls[item] for item in before} == before
    assert sum(chat.calls.values()) - 60 <= 3 * 4  # what was in flight at each kill
    replies = ReplyCache(path)
    assert replies.spent("run") == Spent(60, 600, 120, 720.0)
    replies.close()


@pytest.mark.slow
def test_four_processes_share_the_replies(tmp_path):
    path = str(tmp_path / "replies.sqlite")
    with FakeChat() as chat:
        clients = [client(chat, path, items=40) for _ in range(4)]
        assert [finished_items(c) for c in clients] == [set(range(40))] * 4
        calls = sum(chat.calls.values())
        assert 40 <= calls <= 160 and finished_items(client(chat, path, items=40))
        assert sum(chat.calls.values()) == calls  # the fifth finds all
    replies = ReplyCache(path)
    assert replies.spent("run").replies == calls
    replies.close()
