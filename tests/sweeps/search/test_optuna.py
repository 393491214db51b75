"""Optuna's searches learn from results, and are rebuilt from the journal."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr
from support.bowl_task import Bowl

import heliostat as hs
from heliostat.store import lock

SPACE = {"x": hs.Range(0, 1), "y": hs.Range(0, 9)}


def search(store, trials, name="tpe", **options):
    options = {"over": SPACE, "metric": "loss", "on": "here", "steps": 3, **options}
    return hs.sweep(Bowl(), search=name, trials=trials, store=store, **options)


def losses(sweep):
    return sweep.summary.loss.values - 1 / 3


def test_a_cell_that_is_proposed_twice_was_computed_once(tmp_path):
    result = search(tmp_path, 6, over={"y": [0, 1]})
    events = map(json.loads, (result.path / "events.jsonl").read_text().splitlines())
    started = {e["run"] for e in events if e["event"] == "started"}
    assert (result.computed, result.reused) == (len(started), 0) == (2, 0)
    assert search(tmp_path, 6, over={"y": [0, 1]}).reused == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_a_search_beats_random_draws(tmp_path, name):
    """The median of the last ten of 30 trials is three times smaller."""
    learnt = losses(search(tmp_path, 30, name))
    drawn = losses(search(tmp_path, 20, "random"))
    assert np.nanmedian(learnt[-10:]) < np.nanmedian(drawn) / 3


@pytest.mark.slow
def test_a_longer_search_continues_the_shorter_one(tmp_path):
    whole = search(tmp_path / "b", 15)
    short = search(tmp_path / "a", 12)
    longer = search(tmp_path / "a", 15)
    assert longer.id == short.id and (longer.computed, longer.reused) == (3, 12)
    xr.testing.assert_identical(longer.dataset.load(), whole.dataset.load())


def test_a_search_is_rebuilt_from_its_journal(tmp_path):
    """Also from one that ends between a proposal and its result."""
    whole = search(tmp_path / "a", 12)
    events = (whole.path / "events.jsonl").read_text().splitlines(keepends=True)
    proposed = [i for i, line in enumerate(events) if '"proposed"' in line]
    (whole.path / "events.jsonl").write_text("".join(events[: proposed[9] + 1]))
    again = search(tmp_path / "a", 12)
    assert again.reused == 12
    xr.testing.assert_identical(again.dataset.load(), whole.dataset.load())


def test_a_search_that_proposes_other_values_than_recorded_is_refused(tmp_path):
    result = search(tmp_path, 3)
    events = result.path / "events.jsonl"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    next(e for e in lines if e["event"] == "proposed")["values"]["x"] = 0.5
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(hs.RequestError, match="another version; give another search"):
        search(tmp_path, 4)


def test_a_search_runs_in_one_process_at_a_time(tmp_path):
    result = search(tmp_path, 2)
    with lock.Lock(result.path), pytest.raises(hs.Busy, match=result.id):
        search(tmp_path, 3)


def test_a_search_receives_the_mean_over_seeds(tmp_path):
    result = search(tmp_path, 2, over={**SPACE, "seed": [0, 1, 2]})
    assert (
        result.dataset.loss.dims == ("trial", "seed", "step") and result.computed == 6
    )
    log = [
        json.loads(t) for t in (result.path / "events.jsonl").read_text().splitlines()
    ]
    means = [e["values"]["loss"] for e in log if e["event"] == "told"]
    assert np.allclose(means, result.summary.loss.mean("seed"))


@pytest.mark.slow
def test_several_metrics_are_optimised_together(tmp_path):
    """Cost is least at x = 0 and loss at 0.3: everything between is optimal, nothing
    beyond."""
    result = search(
        tmp_path, 60, metric=["loss", "cost"], mode="min", over={"x": hs.Range(0, 0.98)}
    )
    assert np.mean(result.dataset.x[-20:] < 0.35) > 0.8


def test_a_failed_trial_has_no_number(tmp_path):
    result = search(tmp_path, 8, over={"x": hs.Range(0.97, 1.01)})
    assert result.states["failed"] >= 2 and result.states["done"] >= 2
    assert list(np.isnan(losses(result))) == list(result.dataset.x > 0.99)


@pytest.mark.parametrize(
    "options, line",
    [
        ({"search": "tpe", "trials": 3}, "search tpe needs a metric, such as loss"),
        ({"search": "tpe", "metric": "loss"}, "expected trials of at least 1"),
        ({"metric": "los", "search": "tpe", "trials": 2}, "did you mean 'loss'"),
        ({"scheduler": "asha"}, "scheduler asha needs one metric"),
        ({"scheduler": "ash", "metric": "loss"}, "did you mean 'asha'"),
        ({"grace": 3}, "it is for a scheduler"),
        ({"metric": ["loss", "cost"], "mode": ["min"] * 3}, "mode: 3 for 2 metrics"),
        ({"metric": "loss", "mode": "least"}, "mode 'least'"),
        ({"scheduler": "asha", "metric": "loss", "factor": 1}, "factor >= 2"),
        (
            {"metric": ["loss", "cost"], "search": "gp", "trials": 2},
            "expected one metric",
        ),
        pytest.param(
            {"metric": "loss", "search": "gp", "trials": 2},
            "search gp needs torch: python -m pip install torch",
            marks=pytest.mark.skipif(bool(find_spec("torch")), reason="has torch"),
        ),
    ],
)
def test_a_bad_request_stores_nothing(tmp_path, options, line):
    options = {"over": {"x": [0.1, 0.2]}, **options}
    with pytest.raises(hs.RequestError) as error:
        hs.sweep(Bowl(), store=tmp_path / "s", on="here", **options)
    assert line in str(error.value) and not (tmp_path / "s").exists()
