"""Commands ``heliostat preferences label`` and ``scales``, with a fake chat server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from support.chat_server import FakeChat, send, text_reply

from heliostat.assistants import ReplyCache
from heliostat_tasks.preferences.tables import read_table

FEATURES = "longer: is longer\nshorter: is shorter\n"
PAIRS, PER_PAIR = 12, 4  # two features in two orders
HUMAN = "\n\nHuman: question {}\n\nAssistant:"


def labels(call: int, prompt: str):
    """Return the label of an honest reader of both responses."""
    texts = re.findall(r"<response [AB]>\n(.*)\n</response", prompt)
    first = (len(texts[0]) > len(texts[1])) == ("is longer" in prompt)
    return text_reply("A" if first else "B")


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Twelve pairs, of which every third prefers the shorter response."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HELIOSTAT_API_KEY", raising=False)
    lines = []
    for i in range(PAIRS):
        texts = [HUMAN.format(i) + " a long response", HUMAN.format(i) + " short"]
        names = ("chosen", "rejected") if i % 3 else ("rejected", "chosen")
        lines.append(json.dumps(dict(zip(names, texts, strict=True))))
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    (tmp_path / "features.txt").write_text(FEATURES)
    return tmp_path


def label_args(chat: FakeChat, *more: str) -> list[str]:
    assistant = ["--assistant", "endpoint", "--url", chat.url, "--model", "fake"]
    files = ["pairs.jsonl", "-o", "labels.csv", "--features", "features.txt"]
    return ["preferences", "label", *files, *assistant, *more]


def test_conversations_become_a_table_that_a_run_reads(run_cli, files):
    with FakeChat(labels) as chat:
        result = run_cli(*label_args(chat, "--json"))
    assert result.status == 0, result.err
    answer = json.loads(result.out)
    assert answer["pairs"] == PAIRS and answer["features"] == 2
    assert answer["unparsed"] == answer["inconsistent"] == 0
    assert answer["spent"]["replies"] == sum(chat.calls.values()) == PAIRS * PER_PAIR
    body = chat.bodies[0]
    assert body["temperature"] == 0 and "grammar" not in body
    table = read_table(files / "labels.csv")
    assert (table.phi[:, 0] == -table.phi[:, 1]).all()
    assert (table.x[:, 0] == 1).sum() == 8  # counted by hand


@pytest.mark.slow
def test_a_run_reads_the_labels(run_cli, files):
    with FakeChat(labels) as chat:
        assert run_cli(*label_args(chat)).status == 0
    run = "run preferences --data labels.csv --scale 1 --holdout 0 --steps 700"
    headline = run_cli(*run.split(), "--on", "here", "--json").object["headline"]
    assert (
        headline["prefers_longer"]["value"] > headline["prefers_shorter"]["value"] + 0.1
    )


def test_replies_are_stored_and_charged_once(run_cli, files):
    with FakeChat(labels) as chat:
        assert run_cli(*label_args(chat, "--limit", "5")).status == 0
        assert sum(chat.calls.values()) == 5 * PER_PAIR
        again = run_cli(*label_args(chat))
        assert again.status == 2 and "labels.csv exists already" in again.error
        (files / "labels.csv").unlink()
        assert run_cli(*label_args(chat)).status == 0
        assert set(chat.calls.values()) == {1} and len(chat.calls) == PAIRS * PER_PAIR


def test_labelling_stops_at_the_cap_and_continues_with_a_higher_one(run_cli, files):
    """A reply costs 12; some 500, its maximum, are reserved before it arrives."""
    price = ["--price", "1e6", "1e6"]
    with FakeChat(labels) as chat:
        result = run_cli(*label_args(chat, *price, "--cap", "700"))
        assert result.status == 1 and "the cap of 700 is reached" in result.error
        requests = sum(chat.calls.values())
        assert 0 < requests < PAIRS * PER_PAIR and not (files / "labels.csv").exists()
        result = run_cli(*label_args(chat, *price, "--cap", "90000", "--json"))
        assert json.loads(result.out)["spent"]["money"] == 12 * PAIRS * PER_PAIR
    assert set(chat.calls.values()) == {1}


def test_pairs_without_labels_are_reported(run_cli, files):
    def sometimes(call: int, prompt: str):
        if "question 4" in prompt:
            return send(400)
        if "question 5" in prompt:
            return text_reply("It depends.")
        return text_reply("A") if "question 6" in prompt else labels(call, prompt)

    with (files / "pairs.jsonl").open("a") as stream:
        stream.write('\n{"chosen": "x"}\n')
    with FakeChat(sometimes) as chat:
        result = run_cli(*label_args(chat))
        assert result.status == 2 and "line 13: no assistant speaks" in result.error
        result = run_cli(*label_args(chat, "--leave-out"))
    assert result.status == 0, result.err
    assert f"labelled {PAIRS - 1} pairs by 2 features" in result.out
    assert "unparsed      4 of" in result.out and "inconsistent  2 of" in result.out
    assert "1 lines that are no pairs, such as: pairs.jsonl, line 13" in result.out
    assert "1 pairs unanswered, such as: status 400" in result.out
    assert len(read_table(files / "labels.csv").phi) == PAIRS - 1


def test_a_refused_key_ends_labelling_and_is_not_shown(run_cli, files, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_API_KEY", "secret-secret")
    with FakeChat(lambda call, prompt: send(401)) as chat:
        result = run_cli(*label_args(chat))
    assert result.status == 2 and "the key was not accepted" in result.error
    assert "secret" not in result.err and sum(chat.calls.values()) <= 16


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_labelling_repeats_no_answered_request(files, how):
    """Only requests in flight are repeated, at most one per pair."""
    with FakeChat(labels, delay=0.15) as chat:
        command = [sys.executable, "-m", "heliostat", *label_args(chat)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while sum(chat.answered.values()) < 15:
            assert time.monotonic() < deadline, "no reply in time"
            time.sleep(0.01)
        os.kill(process.pid, how)
        _, result = process.communicate(timeout=60)
        if how == signal.SIGINT:
            assert process.returncode == 130 and "asks nothing again" in result
        charged, before = spent(), sum(chat.calls.values())
        assert 0 < charged < PAIRS * PER_PAIR and not (files / "labels.csv").exists()
        subprocess.run(command, check=True, timeout=60)
        assert sum(chat.calls.values()) - before == PAIRS * PER_PAIR - charged
    assert spent() == PAIRS * PER_PAIR
    assert len(read_table(files / "labels.csv").phi) == PAIRS


def spent() -> int:
    """Return the number of replies charged to the account of the file."""
    import hashlib
    from pathlib import Path

    digest = hashlib.sha256(Path("pairs.jsonl").read_bytes()).hexdigest()[:16]
    replies = ReplyCache()
    try:
        return replies.spent(f"preferences {digest}").replies
    finally:
        replies.close()


MISTAKES = {
    "pairs.jsonl -o t.csv --assistant endpoint": "url: expected one for the endpoint",
    "pairs.jsonl -o t.csv --model x": "model: it is for --assistant endpoint",
    "pairs.jsonl -o t.csv --cap 3": "price and cap: they are for --assistant endpoint",
    "pairs.jsonl -o t.txt": "t.txt: expected an ending of .csv",
    "pairs.jsonl -o none/t.csv": "none/t.csv: there is no such folder",
    "pairs.jsonl -o t.csv --limit 0": "limit 0: expected at least 1",
    "pairs.jsonl -o t.csv --features none": "none cannot be read",
    "none.jsonl -o t.csv": "none.jsonl cannot be read",
    "features.txt -o t.csv": "features.txt: expected an ending of .jsonl",
    "pairs.jsonl -o t.csv --assistant me": "--assistant",
    "pairs.jsonl -o t.csv --url ftp://x --model y --assistant endpoint": "http://",
    "pairs.jsonl": "--output",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_get_one_line(words, run_cli, files):
    result = run_cli("preferences", "label", *words.split())
    assert result.status == 2 and MISTAKES[words] in result.error
    assert not (files / "t.csv").exists()


@pytest.mark.slow
def test_scales_are_compared_and_their_runs_stored(run_cli, store):
    size = "--pairs 600 --warmup 20 --chains 2 --steps 60 --on here".split()
    result = run_cli("preferences", "scales", *size, "--over", "0.3,0.01", "--json")
    assert result.status == 0, result.err
    answer = json.loads(result.out)
    assert [row["scale"] for row in answer["scales"]] == [0.01, 0.3]
    assert len([*store.glob("preferences/*")]) == 2
    again = run_cli("preferences", "scales", *size, "--over", "0.01,0.3")
    assert f"--scale {answer['best']:g}" in again.out and again.out.count("best") == 1


SCALES = {
    "--over 0.1,x": "over 0.1,x: expected numbers and commas",
    "--over 0.1,0.1": "expected two or more",
    "--over 0.1,-1": "scale -1.0: expected more than 0",
    "--holdout 0": "holdout 0.0: too few pairs are held out",
}


@pytest.mark.parametrize("words", SCALES)
def test_invalid_scales_are_refused(words, run_cli, store):
    result = run_cli("preferences", "scales", *words.split(), "--on", "here")
    assert result.status == 2 and SCALES[words] in result.error
    assert not [*store.glob("*/*")]
