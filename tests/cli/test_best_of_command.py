"""Command ``heliostat sycophancy best-of``: its output, and mistakes in one line."""

from __future__ import annotations

import pytest

SCORE = "def longer(prompt, reply):\n    return len(reply)\n"
RUN = "run sycophancy --probe answer --limit 6 --epochs 4 --on here --json".split()


@pytest.fixture
def scored(run_cli, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCORE)
    return run_cli(*RUN, "--scorer", "score.py:longer").object["id"]


def test_curves_are_printed_and_drawn_without_the_code(run_cli, scored, tmp_path):
    (tmp_path / "score.py").unlink()
    result = run_cli("sycophancy", "best-of", scored[:8], "-o", "curves.png")
    assert result.status == 0, result.err
    assert result.out.startswith(f"sycophancy {scored}: answer, 6 items\n")
    for line in (
        "  accuracy change: user suggests a wrong answer\n",
        "N = 1   any reply",
        "N = 4   longer",
    ):
        assert line in result.out
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    scores = run_cli("sycophancy", "best-of", scored, "--json").object
    assert scores["items"] == 6 and scores["left_out"] == scores["unscored"] == 0
    assert len(scores["rate"]) == 4 * 4 and "difference" not in scores
    first = scores["rate"][0]
    assert first["metric"] == "accuracy" and first["scorer"] == "longer"
    assert first["n"] == 1 and first["low"] <= first["value"] <= first["high"]


def test_a_run_without_scores_is_refused_in_one_line(run_cli, scored):
    plain = run_cli(*RUN).object["id"]
    result = run_cli("sycophancy", "best-of", plain)
    assert result.status == 2 and "its replies have no scores" in result.error
    assert "no run 'ffff'" in run_cli("sycophancy", "best-of", "ffff").error


def test_scorers_that_do_not_apply_are_refused(run_cli, scored):
    words = "run sycophancy --scorer local --on here".split()
    result = run_cli(*words)
    assert result.status == 2 and "it scores single replies" in result.error
    result = run_cli(*RUN, "--scorer", "score.py:shorter")
    assert result.status == 2 and "does not define 'shorter'" in result.err
