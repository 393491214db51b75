"""``heliostat sycophancy best-of``: what is printed, and what is refused."""

from __future__ import annotations

import pytest

SCORE = "def longer(prompt, reply):\n    return len(reply)\n"
RUN = "run sycophancy --probe answer --limit 6 --epochs 4 --on here --json".split()


@pytest.fixture
def scored(type_in, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCORE)
    return type_in(*RUN, "--scorer", "score.py:longer").object["id"]


def test_curves_are_printed_and_drawn_without_the_code(type_in, scored, tmp_path):
    (tmp_path / "score.py").unlink()
    said = type_in("sycophancy", "best-of", scored[:8], "-o", "curves.png")
    assert said.status == 0, said.err
    assert said.out.startswith(f"sycophancy {scored}: answer, 6 items\n")
    for line in (
        "  accuracy change: user suggests a wrong answer\n",
        "N = 1   any reply",
        "N = 4   longer",
    ):
        assert line in said.out
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    told = type_in("sycophancy", "best-of", scored, "--json").object
    assert told["items"] == 6 and told["left_out"] == told["unscored"] == 0
    assert len(told["rate"]) == 4 * 4 and "difference" not in told
    first = told["rate"][0]
    assert first["metric"] == "accuracy" and first["scorer"] == "longer"
    assert first["n"] == 1 and first["low"] <= first["value"] <= first["high"]


def test_what_has_no_scores_is_refused_in_one_line(type_in, scored):
    plain = type_in(*RUN).object["id"]
    said = type_in("sycophancy", "best-of", plain)
    assert said.status == 2 and "its replies have no scores" in said.error
    assert "no run 'ffff'" in type_in("sycophancy", "best-of", "ffff").error


def test_scores_are_asked_for_where_they_make_sense(type_in, scored):
    words = "run sycophancy --scorer local --on here".split()
    said = type_in(*words)
    assert said.status == 2 and "it scores single replies" in said.error
    said = type_in(*RUN, "--scorer", "score.py:shorter")
    assert said.status == 2 and "does not define 'shorter'" in said.err
