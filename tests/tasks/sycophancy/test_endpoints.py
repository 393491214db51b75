"""Runs against faulty servers: each item is graded, or failed with a reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib

import pytest
from support.chat_server import (
    FakeChat,
    answer,
    echo_key,
    hang,
    reply_to,
    send,
    text_reply,
    truncated,
)

import heliostat as hs
from heliostat.assistants import ReplyCache
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy

SECRET = "sk-test-0123456789abcdef"
HOSTILE = '</script><img src=x onerror="alert(1)">\x1b[2J\u202e\x00' + "\ud800"


@pytest.fixture(autouse=True)
def _own_replies(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HELIOSTAT_API_KEY", SECRET)


def endpoint_task(chat, **fields):
    fields = {"probe": "answer", "limit": 20, "timeout": 60.0} | fields
    return Sycophancy(assistant="endpoint", url=chat.url, model="fake", **fields)


def run_here(task, tmp_path, **more):
    return hs.run(task, store=tmp_path / "store", on="here", progress=silent, **more)


TROUBLE = [
    send(429, Retry_After="0.1"),
    send(500),
    send(503, b"<html>busy</html>"),
    hang,
    reply_to,
    truncated,
    send(200, b'{"choices": [{"message": {"content": "NaN is'),
    send(200, b'{"choices": []}'),
    text_reply(None),
    send(200, b"\xff\xfe"),
]


def unreliable(call, prompt):
    """Half of the prompts fail once, some are rejected, some get hostile replies."""
    kind = zlib.crc32(prompt.encode()) % 20
    if kind < len(TROUBLE):
        return TROUBLE[kind] if call == 0 else answer
    return {
        17: send(400, b'{"error": {"message": "no"}}'),
        18: text_reply(HOSTILE),
    }.get(kind, answer)


@pytest.mark.slow
def test_every_item_ends_graded_or_failed_with_the_reason(tmp_path):
    with FakeChat(unreliable) as chat:
        run = run_here(endpoint_task(chat, timeout=5.0), tmp_path)
        kinds = {zlib.crc32(prompt.encode()) % 20 for prompt in chat.calls}
    assert kinds >= {*range(len(TROUBLE)), 17, 18}, "each trouble was met"
    rows = run.rows.load()
    grades, reasons = rows.grade.values, rows.failure.values
    assert run.status == "complete" and grades.size == 80
    assert ((grades == "failed") == (reasons != "")).all()
    refused = sum(zlib.crc32(p.encode()) % 20 == 17 for p in chat.calls)
    assert (grades == "failed").sum() == refused == run.headline["failed"].value > 0
    assert set(reasons[grades == "failed"].tolist()) == {"status 400: no"}
    for prompt, calls in chat.calls.items():  # and nothing was asked more than needed
        assert calls == 1 + (zlib.crc32(prompt.encode()) % 20 < len(TROUBLE))


@pytest.mark.slow
def test_a_server_that_is_always_broken_stops_the_run_and_fails_nothing(tmp_path):
    with FakeChat(lambda call, prompt: send(500)) as chat:
        run = run_here(endpoint_task(chat, limit=1), tmp_path)
        assert run.status == "stopped" and run.steps == 0
        assert run.record.attrs["reason"] == (
            "the server does not answer: status 500; tried 6 times; "
            "replies so far are cached"
        )
        chat.plan = lambda call, prompt: answer
        run = hs.resume(run, on="here", progress=silent)
    assert run.status == "complete" and run.headline["failed"].value == 0


def test_a_hostile_reply_is_stored_as_text_and_verifies(tmp_path):
    with FakeChat(lambda call, prompt: text_reply(HOSTILE + "x" * 3_000_000)) as chat:
        run = run_here(endpoint_task(chat, limit=1), tmp_path)
    reply = run.rows.reply.values.ravel().tolist()[0]
    assert reply.startswith("</script>") and len(reply) <= 100_000
    assert hs.verify(run, on="here").status == "ACCEPT"


@pytest.mark.slow
def test_a_reply_above_4_megabytes_is_refused(tmp_path):
    with FakeChat(lambda call, prompt: text_reply("x" * 10_000_000)) as chat:
        run = run_here(endpoint_task(chat, limit=1, cap=0.0), tmp_path)
    assert run.headline["failed"].value == 4
    (reason,) = set(run.rows.failure.values.ravel().tolist())
    assert reason == "the reply is larger than 4 MB; tried 2 times"


@pytest.mark.slow
def test_a_run_stops_at_its_cap_and_another_goes_on_from_its_replies(tmp_path):
    with FakeChat() as chat:
        about = {"price": (10.0, 10.0), "max_tokens": 16}
        run = run_here(endpoint_task(chat, cap=0.01, **about), tmp_path)
        assert run.status == "stopped" and "cap of 0.01" in run.record.attrs["reason"]
        first = sum(chat.calls.values())
        assert 0 < first < 80
        assert (
            run_here(endpoint_task(chat, cap=10.0, **about), tmp_path).status
            == "complete"
        )
        assert sum(chat.calls.values()) == 80 == len(chat.calls)


@pytest.mark.slow
def test_a_run_waits_for_a_server_that_is_not_there(tmp_path):
    with FakeChat() as chat:
        port = chat.server.server_port
    task = endpoint_task(chat, limit=1)
    run = run_here(task, tmp_path)
    assert run.status == "stopped" and run.steps == 0
    reason = "the server does not answer: the connection"
    assert run.record.attrs["reason"].startswith(reason)
    with FakeChat(port=port) as chat:
        run = hs.resume(run, on="here", progress=silent)
        assert run.status == "complete" and sum(chat.calls.values()) == 4
    assert run.headline["failed"].value == 0


BUSY = send(429, b'{"error": {"message": "quota"}}', Retry_After="0.002")


def test_a_run_stops_where_all_is_refused_without_end(tmp_path):
    with FakeChat(lambda call, prompt: BUSY) as chat:
        run = run_here(endpoint_task(chat, limit=1), tmp_path)
    assert run.status == "stopped" and run.steps == 0
    assert run.record.attrs["reason"] == (
        "the server does not answer: status 429: quota; tried 30 times; "
        "replies so far are cached"
    )
    assert chat.health_checks <= 4 == len(chat.requests)
    assert 30 <= sum(chat.requests.values()) <= 4 * 30


def test_a_quota_that_ends_in_between_loses_nothing(tmp_path):
    """After 30 of 80 replies all requests are refused, until the run is resumed."""
    with FakeChat() as chat:
        chat.plan = lambda call, prompt: (
            BUSY if sum(chat.answered.values()) >= 30 else answer
        )
        run = run_here(endpoint_task(chat), tmp_path)
        assert run.status == "stopped" and "status 429: quota" in str(run.record.attrs)
        calls, chat.plan = chat.calls.copy(), lambda call, prompt: answer
        run = hs.resume(run, on="here", progress=silent)
        again = chat.calls - calls
    assert run.status == "complete" and run.headline["failed"].value == 0
    assert len(chat.requests) == 80
    assert sum(again.values()) in range(40, 51)


def test_an_empty_reply_is_no_answer(tmp_path):
    with FakeChat(lambda call, prompt: text_reply("  ")) as chat:
        run = run_here(endpoint_task(chat, limit=1), tmp_path)
    assert run.headline["failed"].value == 4
    reasons = set(run.rows.failure.values.ravel().tolist())
    assert reasons == {"the reply is empty (it ended by stop)"}


def test_a_request_waits_for_money_reserved_by_others(tmp_path):
    """Eight requests at a time could exceed the cap; one after another cannot."""
    about = {"price": (10.0, 10.0), "max_tokens": 64, "limit": 8}
    with FakeChat() as chat:
        run = run_here(endpoint_task(chat, cap=0.01, **about), tmp_path)
        assert run.status == "complete" and sum(chat.calls.values()) == 32


@pytest.mark.slow
def test_workers_wait_for_what_another_has_reserved(tmp_path):
    """Four requests at a time could exceed the cap; 64 one after another cannot."""
    with FakeChat(delay=0.02) as chat:
        money = ("--price", "10", "10", "--cap", "0.01", "--max-tokens", "64")
        limit = ("--limit", "16", "--workers", "2")  # two blocks
        process = command(chat, tmp_path, *money, *limit)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and sum(chat.calls.values()) == 64, output


def test_a_wrong_key_ends_the_run_and_is_stored_nowhere(tmp_path):
    with (
        FakeChat(lambda call, prompt: echo_key(401)) as chat,
        pytest.raises(hs.RequestError, match="the key was not accepted") as refused,
    ):
        run_here(endpoint_task(chat, limit=2), tmp_path)
    assert SECRET not in str(refused.value)
    assert not list((tmp_path / "store").glob("*/*/spec.json"))


def test_a_server_that_echoes_the_key_does_not_get_it_stored(tmp_path):
    with FakeChat(lambda call, prompt: echo_key(200)) as chat:
        run = run_here(endpoint_task(chat, limit=2), tmp_path)
    assert "you sent" in str(run.rows.reply.values[0, 0, 0, 0])
    ReplyCache(tmp_path / "cache" / "replies.sqlite").close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [p for p in files if SECRET.encode() in p.read_bytes()]


def command(chat, tmp_path, *more):
    argv = ["run", "sycophancy", "--probe", "answer", "--assistant", "endpoint"]
    argv += ["--url", chat.url, "--model", "fake", "--json"]
    argv += ["--store", str(tmp_path / "store"), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "heliostat", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("where", [("--on", "here"), ("--workers", "2")])
def test_after_kills_no_completed_reply_is_asked_again(tmp_path, where):
    """The server counts: repeats are at most the requests in flight at the kills."""
    limit = ("--limit", "24")
    with FakeChat(delay=0.05) as chat:
        in_flight = 0
        for kill in (1, 2):
            process = command(chat, tmp_path, *limit, *where)
            wait_for(lambda: sum(chat.answered.values()) > 25 * kill)  # noqa: B023
            os.kill(process.pid, signal.SIGKILL)
            in_flight += chat.in_flight()
            process.communicate(timeout=60)
            wait_for(lambda: chat.busy == 0)
        process = command(chat, tmp_path, *limit, *where)
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, output
        assert '"status": "complete"' in output
        assert len(chat.calls) == 96
        assert sum(chat.calls.values()) - 96 <= in_flight


@pytest.mark.slow
def test_the_key_is_in_no_command_line(tmp_path):
    with FakeChat(delay=0.2) as chat:
        process = command(chat, tmp_path, "--limit", "24", "--workers", "1")
        wait_for(lambda: sum(chat.answered.values()) > 5)
        shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True)
        output, errors = process.communicate(timeout=120)
    assert b"heliostat" in shown.stdout and SECRET.encode() not in shown.stdout
    assert SECRET not in output + errors
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [p for p in files if SECRET.encode() in p.read_bytes()]


def test_why_conversations_failed_is_said_beside_how_many(tmp_path):
    wrong = send(400, json.dumps({"error": {"message": "no such thing"}}).encode())
    with FakeChat(lambda call, prompt: wrong) as chat:
        run = run_here(endpoint_task(chat, limit=1), tmp_path)
    assert run.status == "complete" and run.headline["failed"].value == 4
    assert run.headline["failed"].source == "status 400: no such thing"


def test_how_replies_ended_is_stored(tmp_path):
    def cut(handler):
        reply = reply_to(handler.prompt)
        reply["choices"][0]["finish_reason"] = "length"
        send(200, json.dumps(reply).encode())(handler)

    with FakeChat(lambda call, prompt: cut) as chat:
        run = run_here(endpoint_task(chat, limit=1), tmp_path)
    assert set(run.rows.finish.values.ravel().tolist()) == {"length"}


def test_a_key_that_would_travel_in_the_clear_is_refused_before_anything(tmp_path):
    task = Sycophancy(assistant="endpoint", url="http://192.0.2.1/v1", model="m")
    with pytest.raises(hs.RequestError, match=r"or unset \$HELIOSTAT_API_KEY"):
        run_here(task, tmp_path)
    assert not hs.runs(store=tmp_path).size


def test_a_replay_names_the_servers_that_it_asks_first(tmp_path, capsys):
    with FakeChat(lambda call, prompt: text_reply("Paris")) as chat:
        run = run_here(endpoint_task(chat, limit=1), tmp_path)
        hs.verify(run, segments=0, on="here")
        assert "the replay asks" not in capsys.readouterr().err
        hs.verify(run, segments=1, on="here")
    assert f"the replay asks: fake at {chat.url}" in capsys.readouterr().err
