"""Dry runs of sweeps: what they announce is what is then computed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import toys

import heliostat as hs
from heliostat.sweeps.preview import Preview

OVER = {"sigma": [0.5, 1.0], "seed": [0, 1]}


def both(task, over, store, **options):
    """A dry run, what it left in the store, and the sweep that it announced."""
    before = seen(store)
    dry = hs.sweep(task, over=over, store=store, on="here", dry_run=True, **options)
    assert isinstance(dry, Preview) and seen(store) == before
    return dry, hs.sweep(task, over=over, store=store, on="here", **options)


def seen(store):
    return {path: path.stat().st_mtime_ns for path in store.rglob("*")}


def announced(dry, done):
    assert dry.id == done.id
    assert [c.spec.id for c in dry.cells] == [c.spec.id for c in done.cells]
    of = [{i: o.computed for i, o in each.outcomes.items()} for each in (dry, done)]
    return of[0] == of[1]


def test_what_is_stored_is_reused_and_the_rest_is_new(tmp_path):
    dry, done = both(toys.Stroll(), OVER, tmp_path)
    assert announced(dry, done) and dry.states == {"new": 4} and not dry.packs
    dry, done = both(toys.Stroll(), OVER | {"seed": [0, 1, 2]}, tmp_path)
    assert announced(dry, done) and (dry.computed, dry.reused) == (2, 4)


def test_more_steps_go_on_with_what_was_begun(tmp_path):
    both(toys.Stroll(), OVER, tmp_path, steps=10)
    dry, done = both(toys.Stroll(), OVER, tmp_path, steps=20)
    assert announced(dry, done) and dry.states == {"begun": 4}
    assert [o.steps for o in dry.outcomes.values()] == [10] * 4


def test_packs_are_those_that_are_made(tmp_path):
    dry, _ = both(toys.Tuned(chains=3), OVER, tmp_path, steps=10)
    made = [p.name for p in tmp_path.glob("*/packs/*")]
    assert len(made) == 1 and [sorted(pack) for pack in dry.packs] == [
        sorted(cell.spec.id for cell in dry.cells)
    ]
    assert (
        hs.open(dry.packs[0][0], store=tmp_path, task=toys.Tuned).record.home.name
        in made
    )
    more = OVER | {"sigma": [0.5, 1.0, 2.0]}
    dry, _ = both(toys.Tuned(chains=3), more, tmp_path, steps=20)
    assert sorted(map(len, dry.packs)) == [2, 4]


def test_values_that_a_search_has_proposed_are_known(tmp_path):
    pytest.importorskip("optuna")
    over = {"sigma": hs.Range(0.5, 2)}
    how: dict[str, Any] = {"search": "tpe", "metric": "x"}
    dry, _ = both(toys.Stroll(), over, tmp_path, trials=3, **how)
    assert (len(dry.cells), dry.unknown) == (0, 3)
    dry, done = both(toys.Stroll(), over, tmp_path, trials=5, **how)
    assert (dry.reused, dry.unknown) == (3, 2)
    assert set(dry.outcomes) < set(done.outcomes)


def test_what_asha_will_decide_is_left_to_the_sweep(tmp_path):
    how: dict[str, Any] = {"scheduler": "asha", "metric": "x", "grace": 10}
    both(toys.Stroll(), OVER, tmp_path)
    dry, done = both(toys.Stroll(), OVER, tmp_path, **how)
    assert dry.computed == done.computed == 0


def test_what_a_sweep_refuses_a_dry_run_refuses(tmp_path):
    with pytest.raises(hs.RequestError, match="no field 'sigm'"):
        hs.sweep(toys.Stroll(), over={"sigm": [1]}, store=tmp_path, dry_run=True)
    with pytest.raises(hs.RequestError, match="expected a positive number"):
        hs.sweep(toys.Stroll(), over={"sigma": [-1]}, store=tmp_path, dry_run=True)
