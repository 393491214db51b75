"""Rprop finds planted minima by the signs of slopes, and recovers from wrong ones."""

from __future__ import annotations

import numpy as np
import pytest
from support.valley_task import RATES, best, loss, slope

import heliostat as hs
from heliostat.sweeps.search.draws import random_shares
from heliostat.sweeps.search.rprop import Rprop


def descended(start, within):
    """Count the trials until one is near the planted rate, by the closed form."""
    rule = Rprop({"a": RATES}, [start])
    for trial in range(1000):
        a = rule.ask(trial)["a"]
        if abs(np.log(a / best())) < within:
            return trial + 1
        rule.tell(trial, {"validation": loss(a), "a": slope(a)})
    raise AssertionError("1000 trials without success")


def drawn(seed, within):
    """Count the random draws until one is near the planted rate."""
    for trial, share in enumerate(random_shares(1000, 1, seed)[:, 0]):
        if abs(np.log(RATES.at(share, whole=False) / best())) < within:
            return trial + 1
    return 1000


def test_it_needs_a_tenth_of_the_runs_of_random_draws():
    """A run is within 2 % of the planted rate after a tenth of them at most.

    A draw is that near with p = 0.04 / ln 1000, so 173 draws are needed on average. The
    mean of 40 searches by draws is below 90 once in 8,000 times (a sum of 40
    exponential times).
    """
    steps = [descended(start, 0.02) for start in np.linspace(0.01, 0.99, 40)]
    draws = [drawn(seed, 0.02) for seed in range(40)]
    assert max(steps) <= 15 and np.mean(steps) < np.mean(draws) / 10


def test_each_axis_has_a_step_of_its_own():
    """Minimise (x − 0.2)² + 100 (y − 7)⁴: signs do not depend on the scale."""
    rule = Rprop({"x": hs.Range(0, 1), "y": hs.Range(0, 10)}, [0.5, 0.5])
    for trial in range(40):
        x, y = rule.ask(trial).values()
        slopes = {"x": 2 * (x - 0.2), "y": 400 * (y - 7) ** 3}
        value = (x - 0.2) ** 2 + 100 * (y - 7) ** 4
        rule.tell(trial, {"validation": value, **slopes})
    at = rule.ask(40)
    assert abs(at["x"] - 0.2) < 1e-3 and abs(at["y"] - 7) < 1e-2


@pytest.mark.parametrize("later", [np.nan, 2.0])
def test_a_higher_or_missing_loss_sends_it_half_of_the_way_back(later):
    rule = Rprop({"x": hs.Range(0, 1)}, [0.5])
    rule.tell(0, {"validation": 1.0, "x": -1.0})
    assert rule.ask(1) == {"x": 0.75}
    rule.tell(1, {"validation": later, "x": -1.0})
    assert rule.ask(2) == {"x": 0.625}
    rule.tell(2, {"validation": 0.5, "x": -1.0})
    assert rule.ask(3) == {"x": 0.775}  # half of the step, then longer again


def test_slopes_of_the_wrong_sign_do_no_harm():
    """It never continues from a worse point, though each step leads uphill."""
    rule = Rprop({"x": hs.Range(0, 1)}, [0.5])
    points = []
    for trial in range(100):
        x = rule.ask(trial)["x"]
        rule.tell(trial, {"validation": x, "x": -1.0})
        points.append(x)
    assert np.all(np.diff(points[1:30]) < 0) and points[29] - 0.5 < 1e-7
    assert rule.exhausted


@pytest.mark.parametrize(
    "loss, slope, trials, reason",
    [
        (np.nan, np.nan, 1, "no finite loss"),
        (1.0, 0.0, 1, "every slope is 0"),
        (1.0, -1.0, 3, "towards the ends"),
    ],
)
def test_a_descent_that_stands_still_says_why(loss, slope, trials, reason):
    rule, trial = Rprop({"x": hs.Range(0, 1)}, [0.5]), 0
    while not rule.exhausted and trial < 20:
        rule.tell(trial, {"validation": loss - trial, "x": slope})
        trial += 1
    assert trial == trials and reason in rule.exhausted
