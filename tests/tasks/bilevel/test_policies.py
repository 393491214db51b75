"""Starts of inner descent, and the leak of warm starts."""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from support.bilevel_runs import run_here, scan_steps, values

from heliostat_tasks.bilevel import Bilevel


@lru_cache
def rows_of(**fields):
    task = Bilevel(problem="quadratic", method="identity", inner_steps=2, **fields)
    return scan_steps(task, 60)[0].displacement


@pytest.mark.slow
def test_the_ends_of_the_anchor_are_warm_and_cold():
    """An anchor of 0 is a warm start, one of 1 a cold one, up to rounding."""
    for policy, anchor in (("warm", 0.0), ("cold", 1.0)):
        expected = rows_of(policy=policy)
        anchored = rows_of(policy="anchor", anchor=anchor)
        np.testing.assert_allclose(anchored, expected, rtol=1e-4)


def test_a_reset_is_a_cold_start_and_steps_between_resets_are_warm():
    reset = rows_of(policy="reset", reset_every=5)
    warm, cold = rows_of(policy="warm"), rows_of(policy="cold")
    np.testing.assert_array_equal(rows_of(policy="reset", reset_every=1), cold)
    np.testing.assert_array_equal(reset[:5], warm[:5])
    assert reset[50] < reset[54]  # 51 is the first of five steps
    assert reset[5] < warm[5]


@pytest.mark.slow
def test_policy_redrawn_draws_a_new_start_in_each_step():
    """w is far from the first start: two draws are √2 |w₀| apart."""
    task = Bilevel(problem="moons", policy="redrawn", inner_steps=1, method="identity")
    rows, state = scan_steps(task, 3)
    length = float(jnp.linalg.norm(ravel_pytree(state.start)[0]))
    np.testing.assert_allclose(rows.displacement, 2**0.5 * length, rtol=0.2)
    assert len(set(rows.displacement)) == 3


@pytest.mark.parametrize(
    "problem", ["pair", pytest.param("moons", marks=pytest.mark.slow)]
)
def test_a_cold_start_leaks_nothing(problem):
    """Re-training repeats the training and gives the same w, bit for bit."""
    fields = {"method": "identity", "inner_steps": 10, "retrain_steps": 10, "inits": 2}
    rows, _ = scan_steps(Bilevel(problem=problem, **fields), 200)
    assert np.isnan(rows.leak[:99]).all()
    assert np.all(rows.leak[99:] == 0)
    new = rows.fresh_loss[99:] != rows.retrained_loss[99:]
    assert np.all(new == (problem == "moons"))  # a pair starts at 0


def test_evaluations_are_made_once_a_stride_and_repeated_in_rows_between(tmp_path):
    task = Bilevel(problem="quadratic", policy="warm", inner_steps=1)
    run = run_here(task, tmp_path, steps=250)
    rows = run.rows.isel(restart=0)
    changed = np.flatnonzero(np.diff(np.nan_to_num(rows.retrained_loss.values)))
    np.testing.assert_array_equal(changed + 2, [100, 200])  # steps count from 1
    leak = rows.outer_loss[[99, 199]] - rows.retrained_loss[[99, 199]]
    np.testing.assert_allclose(rows.leak[[99, 199]], leak, rtol=1e-5)
    assert run.observed.sizes["step"] == 2


@pytest.mark.slow
def test_ten_images_teach_digits_from_a_cold_start(tmp_path):
    result = values(run_here(Bilevel(), tmp_path))
    assert result["accuracy"] >= 0.84
    assert result["fresh_accuracy"] >= 0.82


@pytest.mark.slow
def test_a_warm_start_is_better_until_it_is_trained_again(tmp_path):
    task = Bilevel(policy="warm", inner_steps=10)
    result = values(run_here(task, tmp_path, steps=3000))
    assert result["accuracy"] >= 0.92
    assert result["retrained_accuracy"] <= 0.20
    assert result["fresh_accuracy"] <= 0.20
