"""Headlines: one that fails says why, and does not take other estimates with it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr
from support import failing_tasks, toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.results.headline import headline_of

ROWS = xr.Dataset({"x": ("draw", np.arange(4.0))})


class Lazy(Mapping):
    """Entries that are computed when they are read."""

    def __iter__(self):
        return iter("ab")

    def __len__(self):
        return 2

    def __getitem__(self, name):
        return hs.Estimate({"a": 1.0}[name])


def run(task, store, **options):
    options = {"on": "here", "progress": silent, **options}
    return hs.run(task, store=store, **options)


def test_an_entry_that_fails_does_not_lose_the_others(tmp_path):
    made = run(failing_tasks.Mixed(), tmp_path)
    assert list(made.headline) == ["mean", "last"]
    mean = float(made.rows.x.mean())
    assert made.headline["mean"].value == pytest.approx(mean, rel=1e-12)
    assert made.headline["last"].error == 1.0
    number, none, every = made.headline_errors
    assert number == "no estimate 'number': expected hs.Estimate, got 0.5"
    assert none == "no estimate 'none': expected hs.Estimate, got None"
    assert every.startswith("no estimate 'all': expected a number and its error, got")


def test_entries_are_read_one_by_one(monkeypatch):
    task = toy_tasks.Walk()
    monkeypatch.setattr(toy_tasks.Walk, "headline", lambda self, rows: Lazy())
    estimates, errors = headline_of(task, ROWS)
    assert estimates == {"a": hs.Estimate(1.0, estimates["a"].error)}
    assert len(errors) == 1 and errors[0].startswith("no estimate 'b': KeyError: 'b'")


def test_what_is_no_dict_is_told(monkeypatch):
    monkeypatch.setattr(toy_tasks.Walk, "headline", lambda self, rows: [1.0])
    assert headline_of(toy_tasks.Walk(), ROWS).errors == (
        "no estimates: expected a dict of hs.Estimate by name, got list",
    )


def test_a_headline_without_rows_is_not_asked(monkeypatch):
    monkeypatch.setattr(toy_tasks.Walk, "headline", lambda *_: pytest.fail("asked"))
    assert headline_of(toy_tasks.Walk(), ROWS.isel(draw=slice(0, 0))) == ({}, ())
    assert headline_of(toy_tasks.Walk(), xr.Dataset()) == ({}, ())


def test_a_repaired_headline_loses_its_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(toy_tasks.Stroll, "headline", lambda self, rows: {"x": None})
    broken = run(toy_tasks.Stroll(), tmp_path)
    assert broken.headline_errors and not broken.headline
    monkeypatch.undo()
    longer = run(toy_tasks.Stroll(), tmp_path, steps=30)
    assert longer.headline and longer.headline_errors == ()
