"""Rates: known ones are measured, and their intervals cover as often as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy, rates
from heliostat_tasks.sycophancy.estimates import Counts, interval, wilson
from heliostat_tasks.sycophancy.ground_truth import DEFAULT_RATES

PLANTED_RATES = {
    "are_you_sure": lambda p: {"accuracy": p["accuracy"], "flip": p["flip"]},
    "answer": lambda p: {"suggests_incorrect": -p["accuracy"] * p["swayed"]},
    "mimicry": lambda p: {"mimicry": p["mimics"], "known": p["known"]},
    "feedback": lambda p: {
        "feedback": (p["like"] + p["wrote"] - p["dislike"] - p["not_wrote"]) / 2
    },
}


@pytest.mark.parametrize("probe", DEFAULT_RATES)
def test_planted_rates_are_recovered(tmp_path, probe):
    """Within 1.7 half widths of 95 %: false alarms 1e-3 for each rate."""
    task = Sycophancy(probe=probe, limit=40, epochs=2)
    run = hs.run(task, store=tmp_path, on="here", progress=silent)
    assert dict(run.rows.sizes)["condition"] == len(task.design.conditions)
    assert list(run.rows.condition.values) == list(task.design.conditions)
    assert set(run.headline) <= set(task.finds)
    for name, planted in PLANTED_RATES[probe](DEFAULT_RATES[probe]).items():
        estimate = run.headline[name]
        assert abs(estimate.value - planted) < 1.7 * estimate.error
    assert hs.verify(run, on="here").status == "ACCEPT"


def test_the_headline_is_empty_before_the_first_turn(tmp_path):
    """Otherwise the display would show that none of none have failed."""
    run = hs.run(Sycophancy(limit=4), store=tmp_path, on="here", progress=silent)
    first = run.rows.isel(turn=slice(0, 1)).load()
    assert run.task.headline(first.isel(turn=slice(0, 0))) == {}
    assert {"accuracy", "failed"} <= set(run.task.headline(first))


def test_intervals_cover_as_often_as_they_say():
    """Of 400 binomial samples of 60 items at least 365 (95 % would show fewer in one of
    1,000), and no wider than 1.2 times the binomial interval."""
    draw, covered, widths = np.random.default_rng(0), 0, []
    for _ in range(400):
        hits = (draw.random(60) < 0.4).astype(float)
        estimate = interval([(1.0, Counts(hits, np.ones(60)))])
        covered += estimate.low <= 0.4 <= estimate.high
        widths.append(estimate.half_width)
    assert covered >= binom.ppf(1e-3, 400, 0.95) - 1
    assert np.mean(widths) <= 1.2 * 1.96 * (0.4 * 0.6 / 60) ** 0.5


def test_differences_are_paired():
    """Both rates share the items: their common noise cancels in the difference."""
    draw = np.random.default_rng(1)
    hits = (draw.random(80) < 0.5).astype(float)
    other = np.where(np.arange(80) < 4, 0.0, hits)
    pair = [(1.0, Counts(hits, np.ones(80))), (-1.0, Counts(other, np.ones(80)))]
    assert interval(pair).half_width < 0.5 * interval(pair[:1]).half_width


def test_where_all_items_agree_the_interval_is_wilsons():
    ones = Counts(np.ones(30), np.ones(30))
    assert interval([(1.0, ones)])[1:] == pytest.approx(wilson(30, 30))
    assert np.isnan(interval([(1.0, Counts(np.zeros(3), np.zeros(3)))]).value)


def test_the_mean_of_data_sets_that_agree_is_as_certain_as_all_their_items():
    masks = np.repeat(np.eye(3), 10, axis=1)
    sets = [(1 / 3, Counts(mask, mask)) for mask in masks]
    low, high = interval(sets)[1:]
    assert high == 1.0 and abs(low - wilson(30, 30)[0]) < 0.06


def test_a_difference_that_is_nothing_in_every_item_is_as_uncertain_as_a_rate():
    """It does not depend on the rates that cancel, nor on their number."""
    draw = np.random.default_rng(2)
    hits = Counts((draw.random(40) < 0.5).astype(float), np.ones(40))
    edge = wilson(0, 40)[1]
    assert interval([(1.0, hits), (-1.0, hits)]) == (0.0, -edge, edge)
    ones = Counts(np.ones(40), np.ones(40))
    assert interval([(1.0, ones), (-1.0, ones)]) == (0.0, -edge, edge)
    halves = [(weight / 2, one) for weight in (1.0, -1.0) for one in (hits, ones)]
    half = edge / np.sqrt(2)
    assert interval(halves) == pytest.approx((0.0, -half, half), abs=1e-12)


@pytest.mark.parametrize(("items", "wider"), [(22, 1.09), (60, 1.03)])
def test_intervals_of_few_items_are_wider_than_normal_ones(items, wider):
    """Student's quantiles widen them; to 2 %, with 20,000 draws."""
    hits = np.linspace(0, 1, items)
    estimate = interval([(1.0, Counts(hits, np.ones(items)))], draws=20_000)
    normal = 1.96 * np.std(hits) / np.sqrt(items)
    assert estimate.half_width / normal == pytest.approx(wider, rel=0.02)


@pytest.mark.parametrize("sure", [1, 0])
def test_a_rate_of_0_or_1_has_wilsons_interval(tmp_path, sure):
    """It is Wilson's interval for the items of each data set, within [0, 1]."""
    planted = ",".join(f"{name}={sure}" for name in ("like", "dislike"))
    task = Sycophancy(probe="feedback", planted=planted)
    run = hs.run(task, store=tmp_path, on="here", progress=silent)
    estimate = rates.measure_rates(task.design, run.rows)["like"]
    sizes = np.unique(run.rows.dataset.values[:, 0], return_counts=True)[1]
    away = np.hypot.reduce([wilson(0, n)[1] for n in sizes]) / len(sizes)
    low, high = (1 - away, 1.0) if sure else (0.0, away)
    assert estimate.value == sure
    np.testing.assert_allclose([estimate.low, estimate.high], [low, high], atol=1e-12)
