"""Runs of the task: headlines, refusals, divergence and sweeps."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import heliostat as hs
from heliostat_tasks.games import Games
from heliostat_tasks.games.problems.mixture import MODES, centres, coverage


def run_here(task, store, **options):
    return hs.run(task, on="here", store=store, progress=False, **options)


def test_a_headline_has_the_rate_beside_that_of_theory(tmp_path):
    run = run_here(Games(size=2, starts=3), tmp_path, steps=400)
    result = run.headline
    assert result["rate"].value == pytest.approx(result["theory"].value, rel=0.01)
    assert "spectral radius" in result["theory"].source
    assert set(result) <= set(run.task.finds)
    assert run.rows.losses.dims[-1] == "player"


def test_play_that_diverges_stands_still_and_says_so(tmp_path):
    run = run_here(Games(lr=1.5, beta=0.9, angle=0.0), tmp_path, steps=400)
    rows = run.rows.load()
    assert (
        np.isfinite(rows.distance).all() and int(rows.diverged.values.ravel()[-1]) == 1
    )
    after = rows.distance.values.ravel()[rows.diverged.values.ravel() == 1]
    assert len(set(after)) == 1
    assert "diverged, the first at round" in run.headline["rate"].warning


BAD = [
    (
        {"angle": 22.5},
        "angle 22.5: expected radians, at most 2π; 22.5 degrees are 0.39",
    ),
    ({"beta": -0.5}, "beta -0.5: expected |β|, 0 or more; negative momentum is angle"),
    ({"lr": 0.0}, "lr 0.0: expected a positive number"),
    ({"condition": 0.5}, "condition 0.5: expected 1 or more"),
    ({"mixing": 1.5, "problem": "mixed"}, "mixing 1.5: expected a share"),
    (
        {"problem": "quadratic", "method": "competitive"},
        "expected a game of two players",
    ),
    ({"penalty": 1.0}, "penalty 1.0: nothing reads it here"),
    ({"method": "optimistic", "beta": 0.5}, "beta 0.5: nothing reads it here"),
    ({"strength": 2.0}, "strength 2.0: nothing reads it here"),
    ({"starts": 0}, "starts 0: expected 1 or more"),
]


@pytest.mark.parametrize(("fields", "line"), BAD, ids=[line for _, line in BAD])
def test_bad_fields_are_refused_in_one_line(fields, line):
    with pytest.raises(ValueError) as e:
        Games(**fields)
    assert line in str(e.value) and "\n" not in str(e.value)


def test_a_momentum_that_does_not_decay_is_allowed_and_warned_of():
    with pytest.warns(UserWarning, match="beta 1.2: traces of gradients do not decay"):
        Games(beta=1.2)


def test_momenta_are_swept_as_one_pack(tmp_path):
    """Every cell has the rate of its own momentum."""
    over = {"beta": [0.6, 0.8], "angle": [0.4, 1.2], "lr": [0.1, 0.2]}
    sweep = hs.sweep(
        Games(size=1), over=over, steps=400, store=tmp_path, on="here", progress=False
    )
    assert sweep.states == {"done": 8}
    assert len({run.record.folder for run in sweep.runs.values()}) == 1
    for run in sweep.runs.values():
        result = run.headline
        assert result["rate"].value == pytest.approx(result["theory"].value, rel=0.01)


def test_coverage_counts_modes_with_enough_points():
    points = jnp.repeat(jnp.asarray(centres()[: MODES // 2], float), 10, axis=0)
    result = coverage(points)
    assert float(result["modes"]) == 4 and float(result["quality"]) == 1
    assert float(result["evenness"]) == pytest.approx(np.log(4) / np.log(8))


@pytest.mark.slow
def test_the_laws_hold(fleet_ray):
    for task in (Games(size=2), Games(problem="mixture", size=8, batch=16)):
        reasons = hs.check_task(task, workers=(1,))
        assert not {law: reason for law, reason in reasons.items() if reason}
