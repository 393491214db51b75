"""Invalid requests get one line, and nothing is computed or stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.store.lock import Lock
from heliostat.sweeps.axes import Range
from heliostat_tasks.learn import Learn

ASHA = {"scheduler": "asha", "metric": "x"}
DRAWS = {"search": "random", "trials": 2}

BAD = [
    ({"over": {"sigm": [1.0]}}, "no field 'sigm'; did you mean 'sigma'"),
    ({"over": {"steps": [1, 2]}}, "no field 'steps'"),
    ({"over": {}}, "at least one field"),
    ({"over": {"sigma": []}}, "sigma: expected at least one value"),
    ({"over": {"sigma": [1.0, 1]}}, "1.0 is given twice"),
    ({"over": {"sigma": ["big"]}}, "sigma='big': expected a float"),
    ({"over": {"sigma": [1.0, -1.0]}}, "sigma -1.0: expected a positive number"),
    ({"over": {"chains": [1.5]}}, "chains=1.5: expected an int"),
    ({"over": {"sigma": 1.0}}, "expected several values"),
    ({"over": {"seed": [-1]}}, "seed: -1"),
    ({"over": {"sigma": Range(1, 2)}}, "a grid needs values"),
    ({"over": {"sigma": [1.0]}, "trials": 3}, "trials 3: a grid has every"),
    ({"over": {"sigma": [1.0]}, "search": "sobl"}, "did you mean 'sobol'"),
    ({"over": {"sigma": [1.0]}, "search": "sobol"}, "trials of at least 1"),
    ({"over": {"seed": [1]}, "search": "sobol", "trials": 2}, "nothing to draw"),
    ({"over": {"sigma": [1.0]}, "steps": 0}, "steps 0"),
    ({"over": {"sigma": [1.0]}, "until": "x >"}, "until"),
    ({"over": {"sigma": [1.0]}, "workers": 0}, "workers 0"),
    ({"over": {"sigma": [1.0]}, "retries": -1}, "retries -1"),
    ({"over": {"sigma": [1.0]}, "search_seed": 1}, "search_seed 1: a grid draws"),
    ({"over": {"sigma": [1.0]}, "factor": 2}, "factor 2: it is for a scheduler"),
    ({"over": {"sigma": [1.0]}, "mode": "max"}, "mode max: of which metric?"),
    ({"over": {"seed": [1, 2]}, "seed": 3}, "goes over seeds already"),
    ({"over": {"sigma": [1.0]}, "on": "here", "gpus": 99}, "gpus 99: this machine has"),
    ({"over": {"sigma": [1.0]}, **ASHA, "grace": 1000}, "first rung would be at step"),
    ({"over": {"sigma": [1.0]}, **ASHA, "grace": 7}, "multiples of the stride, 10"),
    *(
        ({"over": {"sigma": Range(1, 2)}, **DRAWS, "search_seed": seed}, line)
        for seed, line in ((-1, "search_seed -1: expected"), (2**32, "search_seed 4"))
    ),
]

DRAWN = [
    (Range(2, 1), "sigma=2..1: expected LOW < HIGH"),
    (Range(0, 1, log=True), "a logarithm needs LOW > 0"),
    (Range(0, float("inf")), "expected LOW < HIGH"),
]


@pytest.mark.parametrize("request_, line", BAD, ids=[line for _, line in BAD])
def test_a_bad_request_stores_nothing(tmp_path, request_, line):
    with pytest.raises(hs.RequestError) as error:
        hs.sweep(toy_tasks.Walk(), store=tmp_path / "s", **request_)
    assert line in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("drawn, line", DRAWN, ids=[line for _, line in DRAWN])
def test_an_invalid_range_is_refused(tmp_path, drawn, line):
    options = {"search": "random", "trials": 2, "store": tmp_path / "s"}
    with pytest.raises(hs.RequestError, match=line):
        hs.sweep(toy_tasks.Walk(), over={"sigma": drawn}, **options)
    with pytest.raises(hs.RequestError, match="whole numbers"):
        hs.sweep(toy_tasks.Walk(), over={"chains": Range(1.5, 2)}, **options)


REFUSALS = """
import sys
sys.path.insert(0, {tests!r})
import heliostat as hs
from support import toy_tasks

for placement in ({{"gpus": 64}}, {{"on": "nowhere"}}, {{"on": "127.0.0.1:1"}}):
    options = {{"over": {{"sigma": [1.0]}}, "store": {store!r}, **placement}}
    try:
        hs.sweep(toy_tasks.Walk(), **options)
    except hs.RequestError:
        print("refused")
"""


@pytest.mark.slow
def test_an_invalid_placement_changes_nothing_in_the_store(tmp_path):
    """In a process of its own: an open Ray session would be used as it is."""
    (tmp_path / "sweeps").mkdir()
    tests = str(Path(toy_tasks.__file__).parents[1])
    code = REFUSALS.format(tests=tests, store=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240
    )
    assert done.stdout.split() == ["refused"] * 3, done.stderr
    assert [*tmp_path.iterdir()] == [tmp_path / "sweeps"]


def test_an_unknown_metric_ends_a_sweep_at_the_first_run(tmp_path):
    """Of a task that does not list the names of its headline."""
    request = {"over": {"sigma": [1.0, 2.0, 3.0]}, "on": "here", "store": tmp_path}
    with pytest.raises(hs.RequestError) as error:
        hs.sweep(toy_tasks.Stroll(), metric="y", **request)
    line = "metric 'y': the headline of the first run, sigma=1.0, has none of that name"
    assert str(error.value).startswith(line) and "x" in str(error.value)
    assert hs.runs(store=tmp_path).status.tolist() == ["complete"]
    result = hs.sweep(toy_tasks.Stroll(), metric="x", **request)
    assert (result.computed, result.reused) == (2, 1) and result.best().headline["x"]


def test_a_condition_that_some_cell_does_not_know_is_refused_at_once(tmp_path):
    request = {"over": {"model": ["ising", "ebm"]}, "until": "rmse < 1"}
    with pytest.raises(hs.RequestError, match="has no 'rmse'"):
        hs.sweep(Learn(), store=tmp_path / "s", **request)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("search", ["random", "sobol"])
def test_too_many_cells_are_refused_at_once(tmp_path, search):
    over = {"sigma": hs.Range(0.1, 1), "seed": [0, 1]}
    with pytest.raises(hs.RequestError, match="200000000000 cells: expected at most"):
        hs.sweep(
            toy_tasks.Walk(), over=over, search=search, trials=10**11, store=tmp_path
        )
    many = {"sigma": [1.0 + i for i in range(400)], "seed": range(400)}
    with pytest.raises(hs.RequestError, match="160000 cells: expected at most"):
        hs.sweep(toy_tasks.Walk(), over=many, store=tmp_path)


def test_a_second_driver_of_a_sweep_changes_nothing(tmp_path):
    request = {"over": {"sigma": [1.0]}, "on": "here", "store": tmp_path, "steps": 5}
    result = hs.sweep(toy_tasks.Walk(), **request)
    events = (result.path / "events.jsonl").read_text()
    with Lock(result.path), pytest.raises(hs.Busy, match="the same command then"):
        hs.sweep(toy_tasks.Walk(), **request)
    assert (result.path / "events.jsonl").read_text() == events
