"""``heliostat provenance VERB``: what is printed, and what is refused in one line."""

from __future__ import annotations

import json

import pytest

WORDS = (
    "--model mlp --channels 8 --layers 1 --batch 16 --held-out 64 --train 12 "
    "--segment 6 --on here"
).split()


@pytest.fixture(autouse=True)
def keys(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_KEYS", str(tmp_path / "keys"))


def test_a_training_is_verified_and_a_changed_byte_is_seen(type_in, tmp_path, store):
    out = str(tmp_path / "t")
    said = type_in("provenance", "train", *WORDS, "--out", out, "--json")
    assert said.status == 0, said.err
    told = json.loads(said.out)
    assert told["status"] == "complete" and told["headline"]["loss"]["units"] == "nat"
    said = type_in("provenance", "verify", out, "--on", "here", "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["verdict"] == "ACCEPT"
    with (tmp_path / "t" / "data" / "records.bin").open("r+b") as stream:
        stream.write(b"\xff")
    said = type_in("provenance", "verify", out, "--on", "here")
    assert said.status == 1 and said.out.startswith("REJECT\n  the records are not")
    assert (tmp_path / "t-report" / "report.dsse.json").exists()


def test_help_lists_verbs_and_fields(type_in):
    said = type_in("provenance", "--help")
    for verb in ("commit", "issue", "train", "verify", "attack", "calibrate"):
        assert verb in said.out
    said = type_in("provenance", "train", "--help")
    assert "--held-out" in said.out and "Folder of the transcript" in said.out


MISTAKES = {
    "verify missing": "missing: expected the folder of a transcript",
    "verify . --segments none": "segments none: expected a whole number, or all",
    "verify . --epsilon 2": "epsilon 2.0: expected between 0 and 1",
    "verify . --challenge 12": "challenge 12: expected 64 hexadecimal digits",
    "issue missing": "missing holds no commitment",
    "train --out t --chanels 8": "did you mean 'channels'?",
    "train --out t --channels 2000": "channels 2000: expected 1 to 1024",
    "train --out t --preset tiny": "tiny",
    "train": "out",
    "attack glue --transcript missing --out a": "commitment.dsse.json cannot be read",
    "trian --out t": "did you mean",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_get_one_line(words, type_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    said = type_in("provenance", *words.split())
    assert said.status == 2 and said.out == ""
    last = said.err.strip().splitlines()[-1]
    assert last.startswith("heliostat: error: ") and MISTAKES[words] in last
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "keys"}
