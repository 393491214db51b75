"""Problem ``pair``: the floor that cold starts reach and warm starts go below."""

from __future__ import annotations

import numpy as np
import pytest
from support.bilevel_runs import run_here, scan_steps, values

from heliostat_tasks.bilevel import Bilevel
from heliostat_tasks.bilevel.problems.pair import floor


def test_the_floor_is_eckart_and_youngs():
    """No matrix of rank 1, fitted from random starts, is below it; one attains it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)) * [3, 1, 1, 0.3]
    y = x @ rng.normal(size=(4, 3)) + rng.normal(size=(50, 3))

    def loss(w):
        return 0.5 * np.mean(np.sum((x @ w.T - y) ** 2, axis=1))

    losses = []
    for _ in range(20):
        right = rng.normal(size=4)
        for _ in range(200):  # alternating least squares of a bᵀ
            left = y.T @ (x @ right) / np.sum((x @ right) ** 2)
            right = np.linalg.lstsq(x, y @ left / (left @ left), rcond=None)[0]
        losses.append(loss(np.outer(left, right)))
    lowest = floor(x, y, 1)
    np.testing.assert_allclose(min(losses), lowest, rtol=1e-8)
    assert min(losses) >= lowest - 1e-9
    best = np.linalg.lstsq(x, y, rcond=None)[0].T
    np.testing.assert_allclose(floor(x, y, 3), loss(best), rtol=1e-12)


@pytest.mark.slow
def test_a_cold_start_converges_to_the_floor_and_a_warm_one_goes_below(tmp_path):
    """Re-trained models stay above the floor: no pair can teach a lower loss."""
    cold = values(run_here(Bilevel(problem="pair", restarts=2), tmp_path))
    lowest = cold["floor"]
    assert cold["outer_loss"] == pytest.approx(lowest, abs=2e-3)
    assert cold["leak"] == 0
    task = Bilevel(
        problem="pair", policy="warm", inner_steps=1, inner_lr=0.02, restarts=4
    )
    run = run_here(task, tmp_path)
    rows = run.rows.isel(step=-1)
    assert np.all(rows.outer_loss < lowest - 0.5)
    assert np.all(rows.retrained_loss > lowest - 1e-3)
    assert np.all(rows.leak < -2)


@pytest.mark.parametrize("points", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_no_pairs_can_teach_a_larger_rank(points):
    """For any u and any number of steps of descent from zero."""
    task = Bilevel(problem="pair", points=points, inner_steps=37)
    data = task.prepare()
    w = scan_steps(task, 1, key=4)[1].w
    s = np.linalg.svd(w, compute_uv=False)
    assert np.all(s[points:] < 1e-5 * s[0]) and s[points - 1] > 1e-3 * s[0]
    assert float(task.problem_instance.outer(None, w, data.train)) > floor(
        *data.train, points
    )
