"""Searchers and schedulers: they learn, they prune, and can be gone through again."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr

import heliostat as hs
from heliostat.store import lock


@dataclass(frozen=True)
class Bowl(hs.Task):
    """loss(t) = (x - 0.3)² + (y - 2)²/100 + 1/t: the order of trials shows early."""

    x: float = 0.0  # one coordinate
    y: int = 0  # another
    emits = {"loss": hs.Var()}
    finds = ("loss", "cost")
    traced, stride, steps = False, 1, 27

    def init(self, key, replica, data):
        return 0

    def step(self, key, state, data):
        t = state + 1
        if self.x > 0.99:
            raise ValueError("too far")
        return t, {"loss": (self.x - 0.3) ** 2 + (self.y - 2) ** 2 / 100 + 1 / t}

    def headline(self, rows):
        last = float(rows.loss.isel(step=-1))
        return {"loss": hs.Estimate(last), "cost": hs.Estimate(self.x**2)}


SPACE = {"x": hs.Range(0, 1), "y": hs.Range(0, 9)}


def search(store, trials, name="tpe", **options):
    options = {"over": SPACE, "metric": "loss", "on": "here", "steps": 3, **options}
    return hs.sweep(Bowl(), search=name, trials=trials, store=store, **options)


def losses(found):
    return found.summary.loss.values - 1 / 3


def test_a_cell_that_is_proposed_twice_was_computed_once(tmp_path):
    found = search(tmp_path, 6, over={"y": [0, 1]})
    told = map(json.loads, (found.path / "events.jsonl").read_text().splitlines())
    started = {e["run"] for e in told if e["event"] == "started"}
    assert (found.computed, found.reused) == (len(started), 0) == (2, 0)
    assert search(tmp_path, 6, over={"y": [0, 1]}).reused == 2


@pytest.mark.parametrize("name", ["tpe", pytest.param("cmaes", marks=pytest.mark.slow)])
def test_a_search_beats_random_draws(tmp_path, name):
    """The last ten of 30 trials, against draws by chance: a factor of three."""
    learnt = losses(search(tmp_path, 30, name))
    drawn = losses(search(tmp_path, 20, "random"))
    assert np.nanmedian(learnt[-10:]) < np.nanmedian(drawn) / 3


def test_a_longer_search_goes_on_where_it_was(tmp_path):
    whole = search(tmp_path / "b", 15)
    short = search(tmp_path / "a", 12)
    longer = search(tmp_path / "a", 15)
    assert longer.id == short.id and (longer.computed, longer.reused) == (3, 12)
    xr.testing.assert_identical(longer.dataset.load(), whole.dataset.load())


def test_a_search_is_rebuilt_from_what_is_written(tmp_path):
    """Cut anywhere, also between a proposal and its end, it goes on the same."""
    whole = search(tmp_path / "a", 12)
    events = (whole.path / "events.jsonl").read_text().splitlines(keepends=True)
    told = [i for i, line in enumerate(events) if '"proposed"' in line]
    (whole.path / "events.jsonl").write_text("".join(events[: told[9] + 1]))
    again = search(tmp_path / "a", 12)
    assert again.reused == 12
    xr.testing.assert_identical(again.dataset.load(), whole.dataset.load())


def test_a_searcher_that_proposes_something_else_is_refused(tmp_path):
    found = search(tmp_path, 3)
    events = found.path / "events.jsonl"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    next(e for e in lines if e["event"] == "proposed")["values"]["x"] = 0.5
    events.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(hs.RequestError, match="another version; give another search"):
        search(tmp_path, 4)


def test_one_search_learns_at_a_time(tmp_path):
    found = search(tmp_path, 2)
    with lock.Lock(found.path), pytest.raises(hs.Busy, match=found.id):
        search(tmp_path, 3)


def test_several_seeds_are_told_as_their_mean(tmp_path):
    found = search(tmp_path, 2, over={**SPACE, "seed": [0, 1, 2]})
    assert found.dataset.loss.dims == ("trial", "seed", "step") and found.computed == 6
    log = [
        json.loads(t) for t in (found.path / "events.jsonl").read_text().splitlines()
    ]
    told = [e["values"]["loss"] for e in log if e["event"] == "told"]
    assert np.allclose(told, found.summary.loss.mean("seed"))


@pytest.mark.slow
def test_several_metrics(tmp_path):
    """Cost asks for x = 0 and loss for 0.3: between them everything is a good choice,
    beyond them nothing."""
    found = search(
        tmp_path, 60, metric=["loss", "cost"], mode="min", over={"x": hs.Range(0, 0.98)}
    )
    assert np.mean(found.dataset.x[-20:] < 0.35) > 0.8


def test_a_trial_that_fails_is_told_as_failed(tmp_path):
    found = search(tmp_path, 8, over={"x": hs.Range(0.97, 1.01)})
    assert found.states["failed"] >= 2 and found.states["done"] >= 2
    assert list(np.isnan(losses(found))) == list(found.dataset.x > 0.99)


def asha(store, seed=0, **options):
    """36 trials in an order by chance."""
    return hs.sweep(
        Bowl(),
        over={"x": hs.Range(0, 0.98), "y": hs.Range(0, 9)},
        search="random",
        trials=36,
        search_seed=seed,
        metric="loss",
        scheduler="asha",
        store=store,
        on="here",
        **options,
    )


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    return asha(tmp_path_factory.mktemp("asha"))


@pytest.fixture
def copied(pruned, tmp_path):
    """Its store, to do with it what one likes."""
    shutil.copytree(pruned.store, tmp_path / "copy")
    return tmp_path / "copy"


def test_asha_stops_the_worst_and_keeps_the_best(pruned):
    found = pruned
    assert found.states["pruned"] >= 18
    x, y = found.dataset.x.values, found.dataset.y.values
    planted = np.argmin((x - 0.3) ** 2 + (y - 2) ** 2 / 100)
    assert found.best().cells[0].place == (planted,)
    assert int(found.table.steps[planted]) == 27
    ended = Counter(found.table.steps)
    assert set(ended) == {1, 3, 9, 27} and ended[1] > ended[3] > ended[9]
    loss = found.dataset.loss
    assert np.array_equal(np.isfinite(loss).sum("step"), found.table.steps)


def test_a_rung_is_decided_once(pruned, copied):
    """Asked again, every decision stands; cut short, what follows is the same."""
    whole, again = pruned, asha(copied)
    assert (again.computed, again.reused) == (0, 36)
    xr.testing.assert_identical(again.dataset.load(), whole.dataset.load())
    log = again.path / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    rungs = [i for i, line in enumerate(lines) if '"rung"' in line]
    log.write_text("".join(lines[: rungs[25]]))
    third = asha(copied)
    assert third.computed == 0
    xr.testing.assert_identical(third.dataset.load(), whole.dataset.load())


def test_a_pruned_run_is_an_ordinary_one(pruned, copied):
    found = pruned
    line = found.table[found.table.state == "pruned"].iloc[0]
    run = hs.open(line.run, store=copied, task=Bowl)
    assert run.status == "complete" and run.steps == line.steps
    assert hs.verify(run, segments="all", on="here").status == "ACCEPT"
    hs.extend(run, steps=27, on="here")
    assert asha(copied).table.steps[found.table.run == line.run].item() == line.steps


@pytest.mark.parametrize(
    "options, line",
    [
        ({"search": "tpe", "trials": 3}, "search tpe wants a metric, such as loss"),
        ({"search": "tpe", "metric": "loss"}, "expected trials of at least 1"),
        ({"metric": "los", "search": "tpe", "trials": 2}, "did you mean 'loss'"),
        ({"scheduler": "asha"}, "scheduler asha wants one metric"),
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
            "search gp wants torch: python -m pip install torch",
            marks=pytest.mark.skipif(bool(find_spec("torch")), reason="it is there"),
        ),
    ],
)
def test_a_bad_request_stores_nothing(tmp_path, options, line):
    options = {"over": {"x": [0.1, 0.2]}, **options}
    with pytest.raises(hs.RequestError) as told:
        hs.sweep(Bowl(), store=tmp_path / "s", on="here", **options)
    assert line in str(told.value) and not (tmp_path / "s").exists()
