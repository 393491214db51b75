"""Verbs of the task: pictures, and the comparison of methods."""

from __future__ import annotations

import numpy as np
import pytest

import heliostat as hs
from heliostat_tasks.discrete import Discrete
from heliostat_tasks.games import Games
from heliostat_tasks.games.compare import compare_methods, jacobian_of
from heliostat_tasks.games.problems.linear import LinearGame
from heliostat_tasks.games.theory import rate_of_play
from heliostat_tasks.games.verbs import VERBS

compare, plot = VERBS["compare"], VERBS["plot"]


def by_method(fields):
    return {row["method"]: row for row in compare(Games(**fields)).data["methods"]}


def test_the_table_says_where_others_are_better():
    """One frequency: optimistic descent. Conflict of many: momentum."""
    assert compare(Games()).data["methods"][0]["method"] == "optimistic"
    mixed = compare(Games(problem="mixed", mixing=0.9)).data["methods"]
    assert mixed[0]["method"] == "momentum, arg β best"
    assert mixed[0]["radius"] < 0.943


def test_every_best_is_a_rate_of_play():
    """The setting that is printed has the radius beside it, by the round itself."""
    game = {"problem": "mixed", "mixing": 0.75}
    for row in by_method(game).values():
        words = [pair.split() for pair in row["setting"].split(", ")]
        method = row["method"].split(",")[0]
        fields = {name: float(value) for name, value in words}
        task = Games(**game, method=method, **fields)
        rate = rate_of_play(task.problem_instance, task.method_instance)
        assert rate == pytest.approx(row["radius"], abs=2e-3)  # of rounded fields


def test_alternating_play_is_compared_on_bilinear_games_alone():
    rows = by_method({"play": "alternating"})
    assert rows["momentum, arg β π"]["radius"] == pytest.approx(
        2 * 3**0.5 - 3, abs=1e-3
    )
    with pytest.raises(hs.RequestError, match="bilinear games"):
        compare(Games(problem="mixed", play="alternating"))
    with pytest.raises(hs.RequestError, match="no known equilibrium"):
        compare(Games(problem="mixture"))


def test_where_no_method_converges_the_table_says_so():
    lines = compare(Games(problem="market")).text
    assert lines[-1] == "none of them converges"
    assert sum("does not converge" in line for line in lines) == 8


@pytest.mark.parametrize("problem", ["bilinear", "mixed", "quadratic"])
def test_the_jacobian_of_a_linear_game_is_its_matrix(problem):
    game = Games(problem=problem, size=3).problem_instance
    assert isinstance(game, LinearGame)
    np.testing.assert_allclose(jacobian_of(game), game.jacobian(), atol=1e-12)
    assert compare_methods(game, "simultaneous")


MADE = {
    "way": {"size": 1},
    "points": {"problem": "mixture", "size": 4, "batch": 8},
    "images": {"problem": "digits", "size": 2, "batch": 8},
}


@pytest.mark.parametrize(
    "made", ["way", "points", pytest.param("images", marks=pytest.mark.slow)]
)
def test_a_picture_is_of_what_the_game_makes(tmp_path, made):
    options = {"on": "here", "store": tmp_path, "progress": False}
    run = hs.run(Games(**MADE[made]), steps=50, **options)
    file = tmp_path / "picture.png"
    answer = plot(run.id, output=file, store=str(tmp_path))
    assert answer.data["path"] == str(file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_another_task_is_refused(tmp_path):
    run = hs.run(
        Discrete(size=3, chains=4, warmup=5), steps=10, on="here", store=tmp_path
    )
    with pytest.raises(hs.RequestError, match="is a run of discrete"):
        plot(run.id, output=tmp_path / "x.png", store=str(tmp_path))
