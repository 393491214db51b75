"""Commands ``heliostat provenance VERB``: their output, and mistakes in one line."""

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


def test_a_training_is_verified_and_a_changed_byte_is_rejected(
    run_cli, tmp_path, store
):
    out = str(tmp_path / "t")
    result = run_cli("provenance", "train", *WORDS, "--out", out, "--json")
    assert result.status == 0, result.err
    answer = json.loads(result.out)
    assert (
        answer["status"] == "complete" and answer["headline"]["loss"]["units"] == "nat"
    )
    result = run_cli("provenance", "verify", out, "--on", "here", "--json")
    assert result.status == 0, result.err
    assert json.loads(result.out)["verdict"] == "ACCEPT"
    with (tmp_path / "t" / "data" / "records.bin").open("r+b") as stream:
        stream.write(b"\xff")
    result = run_cli("provenance", "verify", out, "--on", "here")
    assert result.status == 1 and result.out.startswith("REJECT\n  the records are not")
    assert (tmp_path / "t-report" / "report.dsse.json").exists()


def test_help_lists_verbs_and_fields(run_cli):
    result = run_cli("provenance", "--help")
    for verb in ("commit", "issue", "train", "verify", "attack", "calibrate"):
        assert verb in result.out
    result = run_cli("provenance", "train", "--help")
    assert "--held-out" in result.out and "Folder of the transcript" in result.out


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
def test_mistakes_get_one_line(words, run_cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    result = run_cli("provenance", *words.split())
    assert result.status == 2 and result.out == ""
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("heliostat: error: ") and MISTAKES[words] in last
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "keys"}
