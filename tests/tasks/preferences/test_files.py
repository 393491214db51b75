"""Files of labelled pairs and of conversations, well-formed and malformed."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

import heliostat as hs
from heliostat_tasks.preferences import Preferences
from heliostat_tasks.preferences.conversations import (
    last_turn,
    ordered,
    read_pairs,
    sample_pairs,
)
from heliostat_tasks.preferences.features import FEATURES, questions
from heliostat_tasks.preferences.tables import read_table

CSV = "pair,preferred,polite,admits doubt\nx,A,1,-1\ny,B,0,+1\n"
LINES = [
    {"pair": "x", "preferred": "A", "polite": 1, "admits doubt": -1},
    {"pair": "y", "preferred": "B", "polite": 0, "admits doubt": 1},
]
JSONL = "\n".join(map(json.dumps, LINES))


def save(path, text: str):
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", CSV),
        ("t.csv.gz", CSV),
        ("t.csv", "\ufeff" + CSV),
        ("t.jsonl", JSONL),
        ("t.jsonl.gz", JSONL),
    ],
)
def test_tables_come_in_several_kinds(tmp_path, name, text):
    table = read_table(save(tmp_path / name, text))
    assert table.features == ("polite", "admits doubt")
    assert table.phi.tolist() == [[1, -1], [0, 1]] and table.phi.dtype == np.int8
    assert table.first.tolist() == [True, False] and table.pairs == ("x", "y")
    assert table.x.tolist() == [[1, -1], [0, -1]] and table.coefficients is None


def test_counts_of_the_labelling_are_no_features(tmp_path):
    text = "preferred,unparsed,inconsistent,polite\nA,3,1,1\n"
    table = read_table(save(tmp_path / "t.csv", text))
    assert table.features == ("polite",) and table.pairs == ("0",)


def test_copies_of_a_pair_are_held_out_together(tmp_path):
    rows = "".join(f"p{i % 50},A,{i % 3 - 1}\n" for i in range(500))
    table = read_table(save(tmp_path / "t.csv", "pair,preferred,polite\n" + rows))
    learned, out = table.split(0.3)
    assert len(out) % 10 == 0 and len(learned) + len(out) == 500 and len(out)


def test_an_edited_file_is_read_again(tmp_path):
    file = save(tmp_path / "t.csv", CSV)
    task = Preferences(data=hs.File(str(file)))
    assert task.features == ("polite", "admits doubt")
    save(file, CSV.replace("polite", "funny"))
    assert task.features == ("funny", "admits doubt")


WRONG_TABLES = {
    "ending": ("t.txt", CSV, "expected an ending of .csv or .jsonl"),
    "value": ("t.csv", "preferred,polite\nA,1\nA,2\n", "line 3: polite '2'"),
    "fraction": ("t.jsonl", '{"preferred": "A", "polite": 0.5}', "line 1: polite 0.5"),
    "truth": ("t.jsonl", '{"preferred": "A", "polite": true}', "line 1: polite True"),
    "winner": ("t.csv", "preferred,polite\nC,1\n", "line 2: preferred 'C'"),
    "no winner": ("t.csv", "polite\n1\n", "line 2: preferred ''"),
    "short row": ("t.csv", "preferred,polite\nA\n", "line 2: polite None"),
    "long row": ("t.csv", "preferred,polite\nA,1,1\n", "line 2: expected the columns"),
    "other keys": ("t.jsonl", JSONL + '\n{"preferred": "A"}', "line 3: expected the"),
    "no object": ("t.jsonl", "[1]", "line 1: a list, expected an object"),
    "no JSON": ("t.jsonl", JSONL + "\n{", "line 3: no JSON"),
    "deep": ("t.jsonl", "[" * 100_000, "line 1: no JSON"),
    "no features": ("t.csv", "preferred\nA\n", "has the features none"),
    "twins": ("t.csv", "preferred,a b,a-b\nA,1,1\n", "expected distinct names"),
    "empty": ("t.csv", "", "holds no pairs"),
    "header only": ("t.csv", "preferred,polite\n", "holds no pairs"),
    "bytes": ("t.csv", b"preferred,polite\n\xff\xfe", "is no UTF-8 text"),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_a_malformed_table_is_refused_in_one_line(tmp_path, case):
    name, text, says = WRONG_TABLES[case]
    with pytest.raises(hs.RequestError) as caught:
        read_table(save(tmp_path / name, text))
    assert says in str(caught.value) and name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(hs.RequestError, match=r"none.csv cannot be read: No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(CSV.encode())[:20])
    with pytest.raises(hs.RequestError, match=r"t.csv.gz cannot be read: "):
        read_table(tmp_path / "t.csv.gz")


ASK = "\n\nHuman: Is it late?\n\nAssistant: What is?\n\nHuman: The bus."
GOOD = {"chosen": ASK + "\n\nAssistant: Yes.", "rejected": ASK + "\n\nAssistant: No."}


def conversations(path, *lines):
    texts = (x if isinstance(x, str) else json.dumps(x) for x in lines)
    return save(path, "\n".join(texts))


@pytest.mark.parametrize("name", ["h.jsonl", "h.jsonl.gz"])
def test_conversations_become_pairs(tmp_path, name):
    (pair,) = read_pairs(conversations(tmp_path / name, GOOD))
    assert pair.context == ASK and {pair.a, pair.b} == {"Yes.", "No."}
    assert (pair.a if pair.preferred == "A" else pair.b) == "Yes."


def test_order_and_name_do_not_depend_on_the_preference():
    for i in range(20):
        first, second = ordered("q", f"x{i}", "y"), ordered("q", "y", f"x{i}")
        assert first[:3] == second[:3] and first.name == second.name
        assert {first.preferred, second.preferred} == {"A", "B"}


def test_the_label_is_as_often_a_as_b():
    """Of 2,000 pairs 1,000 ± 22; outside 900 to 1,100 lies a share of 7e-6."""
    labels = [ordered(f"q{i}", "chosen", "rejected").preferred for i in range(2000)]
    assert 900 < labels.count("A") < 1100


SAYS = "\n\nAssistant: Yes."
WRONG_PAIRS = {
    "no JSON": ("{", "no JSON"),
    "no rejected": ({"chosen": GOOD["chosen"]}, "no text 'rejected'"),
    "a number": (GOOD | {"chosen": 3}, "no text 'chosen'"),
    "no turns": (GOOD | {"chosen": "Yes."}, "no assistant speaks"),
    "human last": (GOOD | {"chosen": GOOD["chosen"] + "\n\nHuman: Oh"}, "human speaks"),
    "no human": (GOOD | {"chosen": SAYS}, "no human speaks"),
    "silence": (GOOD | {"chosen": ASK + "\n\nAssistant: "}, "response is empty"),
    "another": (GOOD | {"chosen": "\n\nHuman: Hi." + SAYS}, "different conversations"),
    "the same": (GOOD | {"rejected": GOOD["chosen"]}, "the same response"),
}


@pytest.mark.parametrize("case", WRONG_PAIRS)
def test_a_malformed_line_is_refused_by_number_or_left_out(tmp_path, case):
    line, says = WRONG_PAIRS[case]
    file = conversations(tmp_path / "h.jsonl", GOOD, line, GOOD)
    with pytest.raises(hs.RequestError) as caught:
        read_pairs(file)
    message = str(caught.value)
    assert "line 2: " in message and says in message and "\n" not in message
    left_out: list[str] = []
    assert len(read_pairs(file, left_out)) == 2
    (reason,) = left_out
    assert message == f"{reason}; such lines can be left out (--leave-out)"


def test_only_the_last_turn_is_the_response():
    assert last_turn(GOOD["chosen"]) == (ASK, "Yes.")


def test_features_come_from_a_text(tmp_path):
    text = "# ours\n\npolite: is more polite\n admits doubt : says: I do not know\n"
    by_name = questions(save(tmp_path / "f.txt", text))
    assert by_name == {
        "polite": "is more polite",
        "admits doubt": "says: I do not know",
    }
    assert tuple(questions()) == tuple(FEATURES)


WRONG_FEATURES = {
    "polite": "line 1: expected NAME",
    "# nothing": "features none: expected distinct names",
    "polite:": "line 1: expected NAME",
    "a b: x\na_b: y": "features a b, a_b: expected distinct names",
    "pair: is a pair": "features pair: expected distinct names",
}


@pytest.mark.parametrize("text", WRONG_FEATURES)
def test_malformed_texts_of_features_are_refused(tmp_path, text):
    with pytest.raises(hs.RequestError, match=WRONG_FEATURES[text]):
        questions(save(tmp_path / "f.txt", text))


def test_a_larger_limit_adds_pairs_and_keeps_their_order():
    pairs = [ordered("q", f"yes {i}", "no") for i in range(50)]
    few, more = sample_pairs(pairs, 7), sample_pairs(pairs, 20)
    assert len(few) == 7 and set(few) < set(more)
    assert sample_pairs(pairs, 99) == pairs
    assert few == sorted(few, key=pairs.index) and few != pairs[:7]
