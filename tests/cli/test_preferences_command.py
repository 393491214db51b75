"""Command ``heliostat run preferences``: mistakes get one line."""

from __future__ import annotations

import pytest

MISTAKES = {
    "--data none.csv": "none.csv",
    "--data bad.csv": "bad.csv, line 2: polite '3', expected -1, 0 or 1",
    "--data good.csv --pairs 9": "pairs 9: nothing reads it here",
    "--scale 0": "scale 0.0: expected more than 0",
    "--until|prefers_truthfull > 0.5": "did you mean 'prefers_truthful'?",
    "--data good.csv --until|oracle_accuracy > 0.5": "no 'oracle_accuracy'",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_get_one_line_and_store_nothing(
    words, tmp_path, monkeypatch, run_cli, store
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text("preferred,polite\nA,1\nB,0\nA,-1\n")
    (tmp_path / "bad.csv").write_text("preferred,polite\nA,3\n")
    first, _, rest = words.partition("|")
    split = [*first.split(), *([rest] if rest else [])]
    result = run_cli("run", "preferences", *split, "--on", "here", "--steps", "100")
    assert result.status == 2 and result.out == ""
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("heliostat: error: ") and MISTAKES[words] in last
    assert not [*store.glob("*/*")]
