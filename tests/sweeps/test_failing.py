"""Cells that fail, or that were stopped: they are no results."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from support import failing_tasks
from support.failing_tasks import Flaky, Midway, here

import heliostat as hs


@dataclass(frozen=True)
class Named(Midway):
    """What it finds has a name that is a field."""

    name: str = "loss"  # of what it finds

    @property
    def finds(self):
        return (self.name,)

    def headline(self, rows):
        return {self.name: super().headline(rows)["loss"]}


def told(found):
    """What the searcher was told, in the order of the trials."""
    lines = (found.path / "events.jsonl").read_text().splitlines()
    events = [e for e in map(json.loads, lines) if e["event"] == "told"]
    return [e["values"]["loss"] for e in sorted(events, key=lambda e: e["trial"])]


def test_what_failed_midway_has_no_value(tmp_path):
    """Also where it is opened again; its run keeps what it left."""
    found = here(tmp_path, {"a": [1.0, 3.0]})
    opened = hs.open_sweep(found.id, store=tmp_path, task=Midway)
    for one in (found, opened):
        assert one.states == {"done": 1, "failed": 1}
        np.testing.assert_array_equal(one.summary.loss, [-1, np.nan])
        np.testing.assert_array_equal(one.table.loss, [-1, np.nan])
        assert np.isnan(one.dataset.loss.sel(a=3)).all()
        assert one.average()["loss"].value == -1
        assert one.best("loss").values == {"a": 1.0}
        left = one.runs[one.cells[1].spec.id]
        assert set(left.rows.loss.values) == {-3}


def test_a_searcher_is_told_that_a_trial_failed(tmp_path):
    how = {"search": "tpe", "trials": 14, "metric": "loss"}
    found = here(tmp_path, {"a": hs.Range(0.5, 4)}, **how)
    a = found.summary.a.values
    assert 0 < (a > 2).sum() < 14
    assert told(found) == [None if one > 2 else -one for one in a]
    assert found.best().values["a"] == a[a <= 2].max()


def test_a_trial_fails_with_any_of_its_seeds(tmp_path):
    """Seeds 0 to 3 have other numbers u; it fails for the least of them."""
    over = {"a": hs.Range(0.5, 2), "seed": [0, 1, 2, 3]}
    how = {"search": "tpe", "trials": 2, "metric": "loss"}
    whole = here(tmp_path, over, Midway(spread=1.0), **how)
    least, second = np.sort((whole.summary.loss + whole.summary.a).values[0])[:2]
    task = Midway(spread=1.0, lucky=float(least + second) / 2)
    found = here(tmp_path, over, task, **how)
    assert found.states == {"done": 6, "failed": 2}
    assert told(found) == [None, None] and None not in told(whole)


def test_what_was_stopped_is_open(tmp_path, monkeypatch):
    """It keeps its rows, but has no value until the same sweep goes on with it."""
    how = {"search": "tpe", "trials": 3, "metric": "loss"}
    over = {"a": hs.Range(0.5, 2)}
    calm = here(tmp_path / "a", over, **how)
    monkeypatch.setattr(
        failing_tasks, "permitted", lambda a: a != calm.cells[1].values["a"]
    )
    first = here(tmp_path / "b", over, **how)
    assert first.states == {"done": 2, "stopped": 1} and len(told(first)) == 2
    assert np.isnan(first.summary.loss[1]) and np.isnan(first.table.loss[1])
    come = first.table.steps[1]  # as far as it was committed
    assert 1 <= come <= 2
    assert np.isfinite(first.dataset.loss[1]).values.tolist() == [
        step < come for step in range(5)
    ]
    monkeypatch.undo()
    again = here(tmp_path / "b", over, **how)
    assert again.states == {"done": 3} and again.reused == 2
    assert told(again) == told(calm)
    assert again.dataset.identical(calm.dataset)


def test_what_was_tried_again_is_seen_afterwards(tmp_path):
    """Also where it is reused, and where it is opened."""
    over, task = {"fails": [0, 2]}, Flaky(tries=str(tmp_path / "tries"))
    first = here(tmp_path, over, task, retries=3)
    again = here(tmp_path, over, task)
    assert first.computed == again.reused == 2
    for one in (first, again, hs.open_sweep(first.id, store=tmp_path, task=Flaky)):
        assert one.states == {"done": 2} and one.table.retries.tolist() == [0, 2]
        assert one.dataset.retries.values.tolist() == [0, 2]
        told = ["", "try 1 failed; try 2 failed"]
        assert one.table.reason.tolist() == one.dataset.reason.values.tolist() == told
        (line,) = one.failures.to_dict("records")
        assert (line["fails"], line["state"], line["retries"]) == (2, "done", 2)
        assert line["reason"] == told[1]


def test_without_a_finite_number_there_is_no_best(tmp_path):
    found = here(tmp_path, {"a": [1.0, 1.5]}, Midway(unknown=0.5), metric="loss")
    assert found.states == {"done": 2} and found.ranked() == []
    with pytest.raises(hs.RequestError, match="no trial has found a finite 'loss'"):
        found.best()


def test_a_number_of_some_cells_is_no_mistake(tmp_path):
    """What a task finds may hang on a field that is varied."""
    over = {"name": ["loss", "cost"]}
    found = here(tmp_path, over, Named(), metric="cost")
    assert found.best().values == {"name": "cost"}
    with pytest.raises(hs.RequestError, match="did you mean 'loss'"):
        here(tmp_path / "none", over, Named(), metric="los")
    assert not (tmp_path / "none").exists()
