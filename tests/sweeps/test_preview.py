"""Dry runs of sweeps announce the cells that are computed then, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps.preview import Preview

OVER = {"sigma": [0.5, 1.0], "seed": [0, 1]}


def both(task, over, store, **options):
    """Run a dry run, check that it wrote nothing, and run the sweep."""
    before = files(store)
    dry = hs.sweep(task, over=over, store=store, on="here", dry_run=True, **options)
    assert isinstance(dry, Preview) and files(store) == before
    return dry, hs.sweep(task, over=over, store=store, on="here", **options)


def files(store):
    return {path: path.stat().st_mtime_ns for path in store.rglob("*")}


def announced(dry, done):
    assert dry.id == done.id
    assert [c.spec.id for c in dry.cells] == [c.spec.id for c in done.cells]
    return computed(dry) == computed(done)


def computed(result):
    return {run: outcome.computed for run, outcome in result.outcomes.items()}


def test_stored_cells_are_reused_and_the_others_new(tmp_path):
    dry, done = both(toy_tasks.Stroll(), OVER, tmp_path)
    assert announced(dry, done) and dry.states == {"new": 4} and not dry.packs
    dry, done = both(toy_tasks.Stroll(), OVER | {"seed": [0, 1, 2]}, tmp_path)
    assert announced(dry, done) and (dry.computed, dry.reused) == (2, 4)


def test_more_steps_continue_the_stored_runs(tmp_path):
    both(toy_tasks.Stroll(), OVER, tmp_path, steps=10)
    dry, done = both(toy_tasks.Stroll(), OVER, tmp_path, steps=20)
    assert announced(dry, done) and dry.states == {"begun": 4}
    assert [o.steps for o in dry.outcomes.values()] == [10] * 4


def test_the_packs_are_those_that_are_computed(tmp_path):
    dry, _ = both(toy_tasks.Tuned(chains=3), OVER, tmp_path, steps=10)
    names = [p.name for p in tmp_path.glob("*/packs/*")]
    assert len(names) == 1 and [sorted(pack) for pack in dry.packs] == [
        sorted(cell.spec.id for cell in dry.cells)
    ]
    assert (
        hs.open(
            dry.packs[0][0], store=tmp_path, task=toy_tasks.Tuned
        ).record.folder.name
        in names
    )
    more = OVER | {"sigma": [0.5, 1.0, 2.0]}
    dry, _ = both(toy_tasks.Tuned(chains=3), more, tmp_path, steps=20)
    assert sorted(map(len, dry.packs)) == [2, 4]


@dataclass(frozen=True)
class Slide(hs.Task):
    """w ← w − a w from 1, with all that any search needs."""

    a: float = 0.1  # rate
    packable = ("a",)
    emits = {"w": hs.Var()}
    finds = ("w",)
    stride, steps = 5, 20

    def init(self, key, replica, data):
        return jnp.ones(())

    def step(self, key, state, data):
        w = state - self.a * state
        return w, {"w": w}

    def headline(self, rows):
        return {"w": hs.Estimate(float(rows.w.isel(step=-1)))}

    def validation(self, state, data):
        return 0.5 * state**2


RATES = {"a": hs.Range(0.01, 0.5)}
PRUNED = {"search": "sobol", "trials": 3, "metric": "w", "scheduler": "asha"}
BRED = {"search": "random", "trials": 4, "metric": "w", "scheduler": "pbt"}
KINDS: dict[str, list[dict[str, Any]]] = {
    "grid": [{"over": {"a": [0.1, 0.2]}}, {"over": {"a": [0.1, 0.2, 0.3]}}],
    "random": [{"search": "random", "trials": n} for n in (2, 4)],
    "sobol": [{"search": "sobol", "trials": n} for n in (2, 4)],
    "tpe": [{"search": "tpe", "metric": "w", "trials": n} for n in (2, 4)],
    "asha": [PRUNED, PRUNED],
    "hypergradient": [{"search": "hypergradient", "trials": n} for n in (2, 12)],
    "pbt": [{**BRED, "steps": n} for n in (10, 20)],
}
"""A first and a second request of each search."""


@pytest.mark.parametrize(
    "kind",
    [*sorted(KINDS.keys() - {"pbt"}), pytest.param("pbt", marks=pytest.mark.slow)],
)
def test_every_search_computes_the_announced_cells(kind, tmp_path):
    """When nothing, a part, or everything is stored."""
    requests = [{"over": RATES, **options} for options in KINDS[kind]]
    for options in requests:
        dry, done = both(Slide(), store=tmp_path / "s", **options)
        assert computed(dry).items() <= computed(done).items()
        assert dry.reused == done.reused
        assert dry.computed <= done.computed <= dry.computed + dry.unknown
    dry, done = both(Slide(), store=tmp_path / "s", **requests[-1])
    assert (dry.computed, dry.unknown) == (0, 0) and dry.states == done.states


def test_the_next_trial_of_gradient_descent_is_known(tmp_path):
    how: dict[str, Any] = {"over": RATES, "search": "hypergradient"}
    for trials in (1, 2):
        dry, done = both(Slide(), store=tmp_path, trials=trials, **how)
        assert announced(dry, done) and (dry.computed, dry.unknown) == (1, 0)


@pytest.mark.slow
def test_the_next_generation_of_a_population_is_known(tmp_path):
    dry, _ = both(Slide(), RATES, tmp_path, **BRED, steps=10)
    assert (dry.computed, dry.unknown) == (4, 4)
    dry, done = both(Slide(), RATES, tmp_path, **BRED, steps=20)
    assert (dry.computed, dry.reused, dry.unknown) == (4, 8, 4)
    assert [c.spec.id for c in dry.cells] == [c.spec.id for c in done.cells][:12]


def test_proposed_values_are_known(tmp_path):
    pytest.importorskip("optuna")
    over = {"sigma": hs.Range(0.5, 2)}
    how: dict[str, Any] = {"search": "tpe", "metric": "x"}
    dry, _ = both(toy_tasks.Stroll(), over, tmp_path, trials=3, **how)
    assert (len(dry.cells), dry.unknown) == (0, 3)
    dry, done = both(toy_tasks.Stroll(), over, tmp_path, trials=5, **how)
    assert (dry.reused, dry.unknown) == (3, 2)
    assert set(dry.outcomes) < set(done.outcomes)


def test_a_dry_run_takes_no_decisions_of_asha(tmp_path):
    how: dict[str, Any] = {"scheduler": "asha", "metric": "x", "grace": 10}
    both(toy_tasks.Stroll(), OVER, tmp_path)
    dry, done = both(toy_tasks.Stroll(), OVER, tmp_path, **how)
    assert dry.computed == done.computed == 0


def test_a_dry_run_refuses_the_same_mistakes(tmp_path):
    with pytest.raises(hs.RequestError, match="no field 'sigm'"):
        hs.sweep(toy_tasks.Stroll(), over={"sigm": [1]}, store=tmp_path, dry_run=True)
    with pytest.raises(hs.RequestError, match="expected a positive number"):
        hs.sweep(toy_tasks.Stroll(), over={"sigma": [-1]}, store=tmp_path, dry_run=True)
