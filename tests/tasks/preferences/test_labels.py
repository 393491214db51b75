"""Labelling by scripted assistants whose answers are known."""

from __future__ import annotations

import asyncio
import re

import pytest

import heliostat as hs
from heliostat.assistants import Unanswered
from heliostat_tasks.preferences.conversations import ordered
from heliostat_tasks.preferences.features import FEATURES, questions
from heliostat_tasks.preferences.labels import label, prompt, verdict
from heliostat_tasks.preferences.tables import read_table

QUESTION = {"longer": "is longer"}
PAIRS = [ordered(f"\n\nHuman: q{i}", "long " * (i + 2), "s") for i in range(6)]


def responses(text: str) -> tuple[str, str]:
    a, b = re.findall(r"<response [AB]>\n(.*)\n</response", text)
    return a, b


async def honest(text: str) -> str:
    a, b = responses(text)
    return "A" if len(a) > len(b) else "B" if len(b) > len(a) else "N"


async def favours_the_first(text: str) -> str:
    return "A"


async def rambles(text: str) -> str:
    return "A difficult question!"


def label_all(ask, pairs=PAIRS, features=QUESTION):
    return asyncio.run(label(pairs, features, ask))


def test_both_orders_that_agree_make_a_feature():
    table = label_all(honest)
    expected = [1 if len(pair.a) > len(pair.b) else -1 for pair in PAIRS]
    assert table["longer"].tolist() == expected and {*expected} == {1, -1}
    assert table["preferred"].tolist() == [pair.preferred for pair in PAIRS]
    assert table["unparsed"].sum() == table["inconsistent"].sum() == 0


def test_verdicts_that_follow_the_position_are_counted_and_ignored():
    table = label_all(favours_the_first)
    assert (table["longer"] == 0).all() and (table["inconsistent"] == 1).all()


def test_replies_without_a_verdict_are_counted_and_ignored():
    table = label_all(rambles)
    assert (table["longer"] == 0).all() and (table["unparsed"] == 2).all()
    assert (table["inconsistent"] == 0).all()


def test_half_a_verdict_is_none():
    async def half(text: str) -> str:
        a, b = responses(text)
        return "A" if len(a) > len(b) else "I cannot say"

    table = label_all(half)
    assert (table["longer"] == 0).all() and (table["unparsed"] == 1).all()


def test_the_table_is_a_file_that_the_task_reads(tmp_path):
    label_all(honest, features=questions()).to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv")
    assert table.features == tuple(FEATURES) and len(table.phi) == len(PAIRS)
    assert table.pairs == tuple(pair.name for pair in PAIRS)
    assert (table.phi[:, :1] == table.phi).all() and (table.phi != 0).all()


def test_no_more_pairs_are_in_flight_than_allowed():
    now, most = 0, 0

    async def slow(text: str) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return "N"

    asyncio.run(label(PAIRS, QUESTION, slow, at_once=2))
    assert most == 2


def test_an_exception_of_the_assistant_ends_the_labelling():
    async def fails(text: str) -> str:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        label_all(fails)


def test_after_a_failure_the_pairs_in_flight_are_finished():
    """Paid replies are received; no further pair is started."""
    prompts = []

    async def second_fails(text: str) -> str:
        await asyncio.sleep(0.001)
        prompts.append(text)
        if len(prompts) == 2:
            raise ConnectionError("gone")
        return "N"

    with pytest.raises(ConnectionError):
        asyncio.run(label(PAIRS, QUESTION, second_fails, at_once=2))
    assert len(prompts) == 3  # both orders of one pair, one of the other


async def refuses_the_third(text: str) -> str:
    if "q2" in text:
        raise Unanswered("status 400")
    return await honest(text)


def test_unanswered_pairs_are_left_out_and_reported():
    left_out: list[str] = []
    table = asyncio.run(label(PAIRS, QUESTION, refuses_the_third, left_out=left_out))
    assert left_out == ["status 400"] and (table["longer"] != 0).all()
    names = [pair.name for pair in PAIRS]
    assert table["pair"].tolist() == [*names[:2], *names[3:]]
    with pytest.raises(Unanswered):
        label_all(refuses_the_third)


def test_a_server_that_never_answers_ends_the_labelling():
    prompts, left_out = [], []

    async def never(text: str) -> str:
        prompts.append(text)
        raise Unanswered("status 503")

    pairs = [ordered(f"\n\nHuman: {i}", "yes", "no") for i in range(200)]
    work = label(pairs, QUESTION, never, at_once=4, left_out=left_out)
    with pytest.raises(hs.RunFailed, match=r"16 pairs in a row .* status 503"):
        asyncio.run(work)
    assert 16 <= len(prompts) <= 16 + 3


def test_no_pairs_make_a_table_with_all_columns():
    columns = list(label_all(honest, pairs=[]).columns)
    assert columns == ["pair", "preferred", "unparsed", "inconsistent", "longer"]


def test_a_prompt_shows_texts_with_braces_as_they_are():
    pair = ordered("\n\nHuman: {x}", "{question}", "{}")
    text = prompt(pair, "is longer")
    assert "Human: {x}" in text and "{question}" in text and "Which response is" in text


VERDICTS = {
    "A": 1,
    " b\n": -1,
    "(A)": 1,
    "**B**": -1,
    "N": 0,
    "Answer: A": 1,
    "The answer is B.": -1,
    "Response A": 1,
    "A difficult question": None,
    "A and B": None,
    "I can't say": None,
    "maybe": None,
    "Banana": None,
    "AB": None,
    "": None,
}


@pytest.mark.parametrize("reply", VERDICTS)
def test_only_a_letter_is_a_verdict(reply):
    assert verdict(reply) == VERDICTS[reply]
