"""Cells that failed or were stopped have no results; retries are recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from support import failing_tasks
from support.failing_tasks import Flaky, Midway, sweep_here

import heliostat as hs


@dataclass(frozen=True)
class Named(Midway):
    """A task whose headline has a name that is a field."""

    name: str = "loss"  # of the number

    @property
    def finds(self):
        return (self.name,)

    def headline(self, rows):
        return {self.name: super().headline(rows)["loss"]}


def recorded(result):
    """Return the numbers that the search received, in the order of the trials."""
    lines = (result.path / "events.jsonl").read_text().splitlines()
    events = [e for e in map(json.loads, lines) if e["event"] == "told"]
    return [e["values"]["loss"] for e in sorted(events, key=lambda e: e["trial"])]


def test_a_cell_that_failed_midway_has_no_number(tmp_path):
    """Also when the sweep is opened; its run keeps its rows."""
    result = sweep_here(tmp_path, {"a": [1.0, 3.0]})
    opened = hs.open_sweep(result.id, store=tmp_path, task=Midway)
    for sweep in (result, opened):
        assert sweep.states == {"done": 1, "failed": 1}
        np.testing.assert_array_equal(sweep.summary.loss, [-1, np.nan])
        np.testing.assert_array_equal(sweep.table.loss, [-1, np.nan])
        assert np.isnan(sweep.dataset.loss.sel(a=3)).all()
        assert sweep.average()["loss"].value == -1
        assert sweep.best("loss").values == {"a": 1.0}
        run = sweep.runs[sweep.cells[1].spec.id]
        assert set(run.rows.loss.values) == {-3}


def test_a_search_receives_no_number_of_a_failed_trial(tmp_path):
    how = {"search": "tpe", "trials": 14, "metric": "loss"}
    result = sweep_here(tmp_path, {"a": hs.Range(0.5, 4)}, **how)
    a = result.summary.a.values
    assert 0 < (a > 2).sum() < 14
    assert recorded(result) == [None if x > 2 else -x for x in a]
    assert result.best().values["a"] == a[a <= 2].max()


@pytest.mark.slow
def test_a_trial_fails_with_any_of_its_seeds(tmp_path):
    """Seeds 0 to 3 have different numbers u; the trial fails for the least."""
    over = {"a": hs.Range(0.5, 2), "seed": [0, 1, 2, 3]}
    how = {"search": "tpe", "trials": 2, "metric": "loss"}
    whole = sweep_here(tmp_path, over, Midway(spread=1.0), **how)
    least, second = np.sort((whole.summary.loss + whole.summary.a).values[0])[:2]
    task = Midway(spread=1.0, lucky=float(least + second) / 2)
    result = sweep_here(tmp_path, over, task, **how)
    assert result.states == {"done": 6, "failed": 2}
    assert recorded(result) == [None, None] and None not in recorded(whole)


def test_a_stopped_trial_has_no_number_until_it_is_continued(tmp_path, monkeypatch):
    """It keeps its rows."""
    how = {"search": "tpe", "trials": 3, "metric": "loss"}
    over = {"a": hs.Range(0.5, 2)}
    calm = sweep_here(tmp_path / "a", over, **how)
    monkeypatch.setattr(
        failing_tasks, "permitted", lambda a: a != calm.cells[1].values["a"]
    )
    first = sweep_here(tmp_path / "b", over, **how)
    assert first.states == {"done": 2, "stopped": 1} and len(recorded(first)) == 2
    assert np.isnan(first.summary.loss[1]) and np.isnan(first.table.loss[1])
    committed = first.table.steps[1]
    assert 1 <= committed <= 2
    assert np.isfinite(first.dataset.loss[1]).values.tolist() == [
        step < committed for step in range(5)
    ]
    monkeypatch.undo()
    again = sweep_here(tmp_path / "b", over, **how)
    assert again.states == {"done": 3} and again.reused == 2
    assert recorded(again) == recorded(calm)
    assert again.dataset.identical(calm.dataset)


def test_retries_are_recorded(tmp_path):
    """Also when the run is reused, and when the sweep is opened."""
    over, task = {"fails": [0, 2]}, Flaky(tries=str(tmp_path / "tries"))
    first = sweep_here(tmp_path, over, task, retries=3)
    again = sweep_here(tmp_path, over, task)
    assert first.computed == again.reused == 2
    opened = hs.open_sweep(first.id, store=tmp_path, task=Flaky)
    for sweep in (first, again, opened):
        assert sweep.states == {"done": 2} and sweep.table.retries.tolist() == [0, 2]
        assert sweep.dataset.retries.values.tolist() == [0, 2]
        reasons = ["", "try 1 failed; try 2 failed"]
        assert sweep.table.reason.tolist() == reasons
        assert sweep.dataset.reason.values.tolist() == reasons
        (line,) = sweep.failures.to_dict("records")
        assert (line["fails"], line["state"], line["retries"]) == (2, "done", 2)
        assert line["reason"] == reasons[1]


def test_without_a_finite_number_there_is_no_best(tmp_path):
    result = sweep_here(tmp_path, {"a": [1.0, 1.5]}, Midway(unknown=0.5), metric="loss")
    assert result.states == {"done": 2} and result.ranked() == []
    with pytest.raises(hs.RequestError, match="no trial has found a finite 'loss'"):
        result.best()


def test_the_metric_may_be_a_number_of_some_cells_only(tmp_path):
    """The headline may depend on a field that is varied."""
    over = {"name": ["loss", "cost"]}
    result = sweep_here(tmp_path, over, Named(), metric="cost")
    assert result.best().values == {"name": "cost"}
    with pytest.raises(hs.RequestError, match="did you mean 'loss'"):
        sweep_here(tmp_path / "none", over, Named(), metric="los")
    assert not (tmp_path / "none").exists()
