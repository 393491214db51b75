"""Densities that are impossible at some states: chains find their way, or are refused.

A mean is judged by |mean − exact| < 3 errors, with the exact one from all 1,024 states:
at the fixed seed of a run a false alarm has probability 3e-3 each.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.enumeration import enumerated

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.discrete import Discrete

USERS = Path(__file__).parents[2] / "support" / "user_densities.py"


def density(name, **fields):
    return Discrete(target=f"{USERS}:{name}", size=10, **fields)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("few", "dmala"),
        ("few", "path"),
        ("few", "gwg"),
        ("exactly", "kawasaki"),
        ("exactly", "hamming-ball"),
    ],
)
def test_no_chain_is_lost_and_means_are_exact(name, sampler, tmp_path):
    task = density(name, sampler=sampler, chains=32)
    run = hs.run(task, store=tmp_path, on="here", progress=silent, steps=2_000)
    assert "impossible" not in run.headline
    every, logs, _, chances = enumerated(task.model)
    possible = chances > 0
    exact = {
        "lp": chances[possible] @ logs[possible],
        "magnetisation": chances @ every.mean(1),
    }
    for quantity, mean in exact.items():
        estimate = run.headline[quantity]
        fixed = name == "exactly" and quantity == "magnetisation"
        bound = 1e-6 if fixed else 3 * estimate.error
        assert abs(estimate.value - mean) < bound < 0.05


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        *[("exactly", {"sampler": s}, "--sampler kawasaki") for s in ("gwg", "gibbs")],
        ("exactly", {"sampler": "path"}, "path cannot move: --sampler kawasaki"),
        ("table", {}, "sampler gwg is blind: give --differences exact"),
        ("table", {"sampler": "dula"}, "sampler dula is blind"),
        ("chain", {"sampler": "kawasaki"}, "keep its own sum: give one start with"),
    ],
)
def test_a_run_that_cannot_move_or_moves_blindly_is_refused(name, fields, words):
    with pytest.raises(hs.RequestError, match=words):
        density(name, **fields).prepare()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("exactly", {"sampler": "dmala"}),
        ("exactly", {"sampler": "path", "step_size": 2.0}),
        ("few", {"sampler": "gwg"}),
        ("table", {"differences": "exact"}),
        ("table", {"sampler": "gibbs"}),
        ("chain", {}),
    ],
)
def test_other_runs_are_tried_in_silence(name, fields):
    density(name, **fields).prepare()


def test_a_start_that_is_given_makes_an_exchange_possible(tmp_path):
    (tmp_path / "start.txt").write_text("1 0 1 0 1 0 1 0 1 0")
    start = hs.File(tmp_path / "start.txt")
    density("chain", sampler="kawasaki", begin_at=start).prepare()


def test_the_refusal_of_a_start_names_the_option():
    task = Discrete(target=f"{USERS}:rare", size=40)
    with pytest.raises(hs.RequestError, match=r"64 states tried.*--begin-at FILE"):
        task.prepare()
