"""One pair to learn from: the floor that cold starts come to, and warm ones leave."""

from __future__ import annotations

import numpy as np
import pytest
from support.bilevel_runs import here, unfolded, values

from heliostat_tasks.bilevel import Bilevel
from heliostat_tasks.bilevel.problems.pair import floor


def test_the_floor_is_eckart_and_youngs():
    """Against many random matrices of rank 1, fitted in turn; and it is attained."""
    draw_ = np.random.default_rng(0)
    x = draw_.normal(size=(50, 4)) * [3, 1, 1, 0.3]
    y = x @ draw_.normal(size=(4, 3)) + draw_.normal(size=(50, 3))

    def loss(w):
        return 0.5 * np.mean(np.sum((x @ w.T - y) ** 2, axis=1))

    found = []
    for _ in range(20):
        right = draw_.normal(size=4)
        for _ in range(200):  # alternating least squares of a bᵀ
            left = y.T @ (x @ right) / np.sum((x @ right) ** 2)
            right = np.linalg.lstsq(x, y @ left / (left @ left), rcond=None)[0]
        found.append(loss(np.outer(left, right)))
    lowest = floor(x, y, 1)
    np.testing.assert_allclose(min(found), lowest, rtol=1e-8)
    assert min(found) >= lowest - 1e-9
    best = np.linalg.lstsq(x, y, rcond=None)[0].T
    np.testing.assert_allclose(floor(x, y, 3), loss(best), rtol=1e-12)


def test_a_cold_start_comes_to_the_floor_and_a_warm_one_below(tmp_path):
    """What is below it cannot be taught by any pair: re-training says so."""
    cold = values(here(Bilevel(problem="pair", restarts=2), tmp_path))
    lowest = cold["floor"]
    assert cold["outer_loss"] == pytest.approx(lowest, abs=2e-3)
    assert cold["leak"] == 0
    task = Bilevel(
        problem="pair", policy="warm", inner_steps=1, inner_lr=0.02, restarts=4
    )
    run = here(task, tmp_path)
    rows = run.rows.isel(step=-1)
    assert np.all(rows.outer_loss < lowest - 0.5)
    assert np.all(rows.retrained_loss > lowest - 1e-3)
    assert np.all(rows.leak < -2)


@pytest.mark.parametrize("points", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_no_pairs_can_teach_a_larger_rank(points):
    """Whatever u is, and however long descent from zero is."""
    task = Bilevel(problem="pair", points=points, inner_steps=37)
    data = task.prepare()
    w = unfolded(task, 1, key=4)[1].w
    s = np.linalg.svd(w, compute_uv=False)
    assert np.all(s[points:] < 1e-5 * s[0]) and s[points - 1] > 1e-3 * s[0]
    assert float(task.problem_instance.outer(None, w, data.train)) > floor(
        *data.train, points
    )
