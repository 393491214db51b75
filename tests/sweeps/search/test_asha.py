"""ASHA prunes the worst cells at rungs, and its decisions can be repeated."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest
import xarray as xr
from support.bowl_task import Bowl

import heliostat as hs


def asha(store, seed=0, **options):
    """Prune 36 trials in random order."""
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
    """A copy of its store that a test may change."""
    shutil.copytree(pruned.store, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.slow
def test_asha_stops_the_worst_and_keeps_the_best(pruned):
    result = pruned
    assert result.states["pruned"] >= 18
    x, y = result.dataset.x.values, result.dataset.y.values
    planted = np.argmin((x - 0.3) ** 2 + (y - 2) ** 2 / 100)
    assert result.best().cells[0].place == (planted,)
    assert int(result.table.steps[planted]) == 27
    ended = Counter(result.table.steps)
    assert set(ended) == {1, 3, 9, 27} and ended[1] > ended[3] > ended[9]
    loss = result.dataset.loss
    assert np.array_equal(np.isfinite(loss).sum("step"), result.table.steps)


@pytest.mark.slow
def test_decisions_at_rungs_stand_when_a_sweep_is_repeated(pruned, copied):
    """Also those after a cut are the same."""
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


@pytest.mark.slow
def test_a_pruned_run_is_an_ordinary_one(pruned, copied):
    result = pruned
    line = result.table[result.table.state == "pruned"].iloc[0]
    run = hs.open(line.run, store=copied, task=Bowl)
    assert run.status == "complete" and run.steps == line.steps
    assert hs.verify(run, segments="all", on="here").status == "ACCEPT"
    hs.extend(run, steps=27, on="here")
    assert asha(copied).table.steps[result.table.run == line.run].item() == line.steps
