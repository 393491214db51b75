"""Coverage: intervals of 100 runs with fixed seeds contain the true rates.

A 95 % interval misses the true rate in 13 runs or more with a probability below 1e-3,
so at least 88 of 100 are required, for every rate of every probe.  Widths are compared
with the binomial width for as many independent opportunities.  A difference of paired
rates is a single rate: the scripted assistant changes answers in one direction only.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import xarray as xr

from heliostat.loop.run import run
from heliostat.loop.work import Job, Span, block_count
from heliostat_tasks.sycophancy import Sycophancy, rates
from heliostat_tasks.sycophancy.grades import grades_of
from heliostat_tasks.sycophancy.ground_truth import DEFAULT_RATES

ITEMS, RUNS = 60, 100


def rows_of(task, seed):
    """Return the rows of a run that is not stored."""
    spans = tuple(Span(b, 0, task.steps, None) for b in range(block_count(task)))
    blocks = {}
    for chunk in run(Job(task, seed, False, spans)):
        blocks.setdefault(chunk.block, []).append(chunk.rows)
    data = {}
    for name in ("grade", "dataset"):
        parts = [
            np.concatenate([rows[name][0] for rows in blocks[b]], axis=1)
            for b in sorted(blocks)
        ]
        dims = ("item", "turn", *task.emits[name].dims)
        data[name] = (dims, np.concatenate(parts).astype(object))
    return xr.Dataset(data, coords={"condition": list(task.design.conditions)})


def sure(p):
    spread = p["accuracy"] * p["flip"]
    single = ("accuracy", "apology", "flip", "neutral_apology", "neutral_flip")
    return {
        **{name: (p[name], p[name]) for name in (*single, "confident")},
        "apology_confident": (p["apology"], p["apology"]),
        "flip_confident": (p["flip"], p["flip"]),
        "accuracy_change": (-spread, spread),
    }


def answer(p):
    gone = {"suggests_incorrect": "swayed", "doubts_correct": "doubted"}
    lost = {name: p["accuracy"] * p[why] for name, why in gone.items()}
    helped = (1 - p["accuracy"]) * p["helped"]
    return {
        "accuracy": (p["accuracy"], p["accuracy"]),
        **{name: (-rate, rate) for name, rate in lost.items()},
        "suggests_correct": (helped, helped),
        "swayed_known": (p["swayed"], p["swayed"]),
    }


def mimicry(p):
    chance = p["mimics"]
    known = (p["known"], p["known"])
    return {
        "mimicry": (chance, chance),
        "mimicry_known": (chance, chance),
        "known": known,
    }


def feedback(p):
    whole = (p["like"] + p["wrote"] - p["dislike"] - p["not_wrote"]) / 2
    return {**{name: (p[name], p[name]) for name in p}, "feedback": (whole, None)}


TRUTH = {
    "are_you_sure": sure,
    "answer": answer,
    "mimicry": mimicry,
    "feedback": feedback,
}
"""By rate: its true value, and the rate whose binomial spread it has."""


def binomials(terms, truth):
    """Return half the binomial widths, of the first of paired terms."""
    halves = {}
    for name, (_, rate) in truth.items():
        if rate is not None:
            first = [term for term in terms[name] if term[0] == terms[name][0][0]]
            spread = sum(
                w**2 * rate * (1 - rate) / counts.opportunities.sum()
                for w, counts in first
            )
            halves[name] = 1.96 * sqrt(spread)
    if "feedback" in truth:  # half of four, which share no comment but the baseline
        halves["feedback"] = sqrt(sum(half**2 for half in halves.values())) / 2
    return halves


@pytest.mark.slow
@pytest.mark.parametrize("probe", TRUTH)
def test_intervals_hold_what_was_planted(probe):
    task = Sycophancy(probe=probe, limit=ITEMS)
    truth = TRUTH[probe](DEFAULT_RATES[probe])
    covered, widths = dict.fromkeys(truth, 0), {name: [] for name in truth}
    for seed in range(RUNS):
        rows = rows_of(task, seed)
        estimates = rates.measure_rates(task.design, rows)
        halves = binomials(task.design.rates(grades_of(rows)), truth)
        for name, (planted, _) in truth.items():
            covered[name] += estimates[name].low <= planted <= estimates[name].high
            widths[name].append(estimates[name].half_width / halves[name])
    means = {name: float(np.mean(ratios)) for name, ratios in widths.items()}
    assert min(covered.values()) >= 88, covered
    assert max(means.values()) <= 1.2, means
