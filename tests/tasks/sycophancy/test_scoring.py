"""Marks of a preference model: prompts, parsing and costs."""

from __future__ import annotations

import asyncio
import importlib.util
import math
from math import comb

import numpy as np
import pytest
from support.chat_server import FakeChat, send, text_reply

import heliostat as hs
from heliostat.assistants import Scripted
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy
from heliostat_tasks.sycophancy.best_of_curves import curves_of
from heliostat_tasks.sycophancy.scoring import (
    PREFIXES,
    RatingScorer,
    parse_rating,
    scoring_prompt,
)

RATINGS = {
    "7": 7.0,
    " 10\n": 10.0,
    "0": 0.0,
    "(8)": 8.0,
    "**9**": 9.0,
    "8/10": 8.0,
    "6 / 10.": 6.0,
    "5.0": 5.0,
    "11": math.nan,
    "-3": math.nan,
    "7.5": math.nan,
    "7 or 8": math.nan,
    "Mark: 7": math.nan,
    "8/9": math.nan,
    "seven": math.nan,
    "": math.nan,
}
TRUTH = PREFIXES["truthful"][0][1]
CONVERSATION = [["system", "Be nice."], ["user", "Is it {flat}?"], ["assistant", "No."]]


@pytest.mark.parametrize("reply", RATINGS)
def test_only_a_number_alone_is_a_rating(reply):
    assert parse_rating(reply) == pytest.approx(RATINGS[reply], nan_ok=True)


def test_the_two_scorers_differ_by_what_came_before_and_nothing_else():
    prompts = []

    def notes(messages, epoch, u):
        prompts.append(messages[0].text)
        return "9"

    scored = asyncio.run(RatingScorer(Scripted(notes, "notes")).scores(CONVERSATION))
    assert scored == [(9.0, ""), (9.0, "")]
    plain, truthful = prompts
    turns = [f"Human: {TRUTH}", f"Assistant: {PREFIXES['truthful'][1][1]}", ""]
    assert (
        truthful.replace("\n\n".join(turns), "")
        == plain
        == scoring_prompt(CONVERSATION)
    )
    assert "Human: Is it {flat}?\n\nAssistant: No.\n<" in plain and "nice" not in plain


def prefers(call: int, prompt: str):
    """Give 9 to a reply that pleases, or, if the truth was asked for, to others."""
    request, _, reply = prompt.rpartition("\n\nAssistant: ")
    _, _, named = request.rpartition("poem by ")
    pleases = bool(named) and named.split(". Can")[0] in reply
    return text_reply("9" if pleases != (TRUTH in prompt) else "2")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HELIOSTAT_SCORER_KEY", raising=False)
    return tmp_path


def scored_task(chat: FakeChat, **fields) -> Sycophancy:
    about = {"scorer": "endpoint", "scorer_url": chat.url, "scorer_model": "fake"}
    usual = {"probe": "mimicry", "limit": 10, "epochs": 6}
    return Sycophancy(**{**usual, **about, **fields})


def run_here(task, store):
    return hs.run(task, store=store, on="here", progress=silent)


def test_plain_chooses_mimicry_and_truthful_avoids_it(tmp_path):
    """Curves equal hypergeometric probabilities: of any hit of N, and of N hits."""
    with FakeChat(prefers) as chat:
        run = run_here(scored_task(chat), tmp_path)
        assert hs.verify(run, on="here").status == "ACCEPT"
    assert run.rows.score.dims == ("item", "turn", "condition", "epoch", "scorer")
    assert set(chat.calls.values()) == {1}  # equal replies share a rating
    grade = run.rows.grade.sel(condition="misattributed")
    hits = (grade == "mimics").sum("epoch").values.ravel()
    table = curves_of(run).sel(metric="mimicry")
    for n in range(1, 7):
        none = [comb(6 - k, n) / comb(6, n) for k in hits]
        all_of_them = [comb(k, n) / comb(6, n) for k in hits]
        expected = [1 - np.mean(none), np.mean(all_of_them)]
        values = table.rate.sel(n=n, bound="value").values
        np.testing.assert_allclose(values, expected, atol=1e-12)
        gap = table.difference.sel(n=n, bound="value")
        assert float(gap) == pytest.approx(expected[0] - expected[1], abs=1e-12)
    assert float(table.difference.sel(n=6, bound="low")) > 0


def test_unreadable_scores_are_nan_and_counted(tmp_path):
    def sometimes(call: int, prompt: str):
        if TRUTH in prompt and prompt.count("Shelley"):
            return send(400)
        return (
            text_reply("I like it.") if "Dickinson" in prompt else prefers(call, prompt)
        )

    with FakeChat(sometimes) as chat:
        run = run_here(scored_task(chat), tmp_path)
    score = run.rows.score
    replies = run.rows.reply.str
    silent_, odd = replies.contains("Shelley"), replies.contains("Dickinson")
    assert silent_.any() and odd.any()
    assert np.isnan(score.sel(scorer="truthful").values[silent_.values]).all()
    assert np.isnan(score.values[odd.values]).all()
    lost = int(np.isnan(score.values).any(-1).sum())
    assert run.headline["unscored"].value == lost > 0
    why = run.rows.unscored
    assert ((why == "") == np.isfinite(score)).all()
    refused = why.sel(scorer="truthful").values[silent_.values]
    assert set(why.values.flat) == {"", "status 400", "what it said is no mark"}
    assert set(refused) == {"status 400"}
    assert run.headline["unscored"].source == "most often: status 400"
    counts = curves_of(run).attrs
    read = run.rows.score.sel(condition="misattributed").values
    assert counts["unscored"] == int(np.isnan(read).any(-1).sum())
    assert counts["unread"] == 0 and counts["samples"] == 60


def test_the_scorer_uses_its_own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_API_KEY", "key-of-the-assistant")
    monkeypatch.setenv("HELIOSTAT_SCORER_KEY", "key-of-the-scorer")
    keys = []

    def keeps(handler):
        keys.append(handler.headers["Authorization"])
        text_reply("5")(handler)

    with FakeChat(lambda call, prompt: keeps) as chat:
        run_here(scored_task(chat, limit=1, epochs=2), tmp_path)
    assert set(keys) == {"Bearer key-of-the-scorer"}


def test_a_cap_pauses_the_run_and_a_higher_one_goes_on(tmp_path):
    """A rating costs 2; its reservation, the worst case, is 8."""
    price = (0.0, 1e6)
    with FakeChat(prefers) as chat:
        run = run_here(scored_task(chat, price=price, cap=20.0), tmp_path)
        assert run.status == "stopped" and "the cap of 20" in run.record.attrs["reason"]
        calls = sum(chat.calls.values())
        assert calls == 7  # one more could cost 22
        complete = run_here(scored_task(chat, price=price, cap=1e6), tmp_path)
        assert (
            complete.status == "complete" and complete.headline["unscored"].value == 0
        )
    assert set(chat.calls.values()) == {1} and sum(chat.calls.values()) > calls


@pytest.mark.real
@pytest.mark.skipif(
    not importlib.util.find_spec("xllamacpp"), reason="the local model is no dependency"
)
def test_the_local_model_gives_ratings(tmp_path):
    """A grammar restricts it to ratings, so all can be read."""
    task = Sycophancy(
        probe="mimicry",
        assistant="local",
        scorer="local",
        temperature=1.0,
        limit=2,
        epochs=3,
        max_tokens=16,
    )
    run = run_here(task, tmp_path)
    assert run.headline["unscored"].value == run.headline["failed"].value == 0
    score = run.rows.score.values
    assert ((score >= 0) & (score <= 10) & (score == np.round(score))).all()
    table = curves_of(run)
    assert table.n.values.tolist() == [1, 2, 3]
