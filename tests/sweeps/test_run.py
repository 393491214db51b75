"""Sweeps are sets of ordinary runs: reused, extended, and read as one dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat.driver.placement import Placement
from heliostat.sweeps.executor import run_cells
from heliostat.sweeps.progress import SweepDisplay
from heliostat.sweeps.run import SweepRequest, run_context
from heliostat.sweeps.search import FixedCells


@dataclass(frozen=True)
class Fragile(toy_tasks.Raises):
    """A task that raises at a step, or never at 0."""

    size: float = 1.0  # without effect


def sweep_here(task, over, store, **options):
    return hs.sweep(task, over=over, store=store, on="here", **options)


def events(store, event):
    """Return the events of one kind of all runs."""
    runs = hs.runs(store=store)
    logs = [
        hs.Run(store / t / i).events() for t, i in zip(runs.task, runs.id, strict=True)
    ]
    return [e for log in logs for e in log if e["event"] == event]


OVER = {"sigma": [0.5, 1.0, 2.0], "seed": [3, 4]}


@pytest.mark.slow
def test_a_cell_is_the_run_of_its_task(tmp_path):
    grid = sweep_here(toy_tasks.Stroll(), OVER, tmp_path / "a")
    assert grid.dataset.x.dims == ("sigma", "seed", "chain", "draw")
    for sigma in OVER["sigma"]:
        for seed in OVER["seed"]:
            task = toy_tasks.Stroll(sigma=sigma)
            alone = hs.run(task, seed=seed, store=tmp_path / "b", on="here")
            cell = grid.dataset.sel(sigma=sigma, seed=seed)
            xr.testing.assert_equal(alone.rows.x, cell.x.drop_vars(cell_coords(cell)))
            assert str(cell.run.values) == alone.id
            assert cell.x.attrs["units"] == "bohr"
            result = grid.summary.x.sel(sigma=sigma, seed=seed)
            assert float(result) == alone.headline["x"].value


def cell_coords(cell):
    return ["sigma", "seed", "run", "state", "reason", "retries"]


@pytest.mark.slow
def test_extending_a_grid_computes_the_new_cells(tmp_path):
    first = sweep_here(
        toy_tasks.Stroll(), {"sigma": [1.0, 2, 3], "seed": [0, 1, 2]}, tmp_path
    )
    assert (first.computed, first.reused) == (9, 0)
    more = {"sigma": [1.0, 2, 3, 4, 5], "seed": [0, 1, 2]}
    second = sweep_here(toy_tasks.Stroll(), more, tmp_path)
    assert (second.computed, second.reused) == (6, 9)
    assert len(events(tmp_path, "started")) == 15
    same = second.dataset.sel(sigma=[1.0, 2, 3]).load()
    same.attrs = first.dataset.attrs  # of another sweep
    xr.testing.assert_identical(same, first.dataset.load())
    third = sweep_here(toy_tasks.Stroll(), more, tmp_path)
    assert (third.computed, third.reused) == (0, 15)
    assert len(events(tmp_path, "started")) == 15


@pytest.mark.slow
def test_more_steps_extend_every_cell(tmp_path):
    sweep_here(toy_tasks.Stroll(), OVER, tmp_path / "a", steps=10)
    longer = sweep_here(toy_tasks.Stroll(), OVER, tmp_path / "a", steps=20)
    whole = sweep_here(toy_tasks.Stroll(), OVER, tmp_path / "b", steps=20)
    assert longer.computed == 6 and len(events(tmp_path / "a", "resumed")) == 6
    xr.testing.assert_identical(longer.dataset.load(), whole.dataset.load())


def test_a_cell_that_raises_does_not_affect_the_others(tmp_path):
    over = {"at": [0, 7, 30], "size": [1.0, 2.0]}
    grid = sweep_here(Fragile(), over, tmp_path, retries=2)
    assert grid.states == {"done": 4, "failed": 2}
    t = grid.dataset.t
    assert np.array_equal(t.sel(at=0, size=2.0), np.arange(1, 21))
    assert np.isnan(t.sel(at=7)).all()
    partial = grid.runs[str(t.run.sel(at=7, size=1.0).values)]
    assert np.array_equal(partial.rows.t, np.arange(1, 7))
    assert list(grid.failures["at"]) == [7, 7] and list(grid.failures.retries) == [2, 2]
    assert all("the author's mistake" in reason for reason in grid.failures.reason)
    assert all("in step" in lines for lines in grid.failures.traceback)
    assert sum("reason" in e for e in events(tmp_path, "failed")) == 6
    assert str(grid.dataset.state.sel(at=7, size=1.0).values) == "failed"


def test_equal_tasks_are_one_run(tmp_path):
    grid = sweep_here(toy_tasks.Talk(), {"items": [2], "seed": [1, 0]}, tmp_path)
    assert grid.dataset.word.dtype.kind == "T" and grid.computed == 2
    again = sweep_here(toy_tasks.Talk(items=2), {"seed": [0]}, tmp_path)
    assert (again.computed, again.reused) == (0, 1)


def test_a_part_of_a_dataset_reads_only_its_own_runs(tmp_path):
    grid = sweep_here(toy_tasks.Stroll(), OVER, tmp_path)
    rows = grid.dataset.x
    whole = rows.values
    assert np.array_equal(
        rows[1:, ::-1, [0, 1], -5:], whole[1:, ::-1][:, :, [0, 1], -5:]
    )
    assert np.array_equal(rows.sel(sigma=1.0).isel(draw=7), whole[1, ..., 7])
    fresh = grid.dataset.x
    lost = grid.dataset.run.sel(sigma=1.0, seed=4).item()
    next(tmp_path.glob(f"*/{lost}/record.zarr/rows/x/c/0/0")).unlink()
    assert np.array_equal(fresh.sel(sigma=2.0), whole[2])
    with pytest.raises(hs.StoreError, match="missing"):
        fresh.sel(sigma=1.0).load()


def test_observed_variables_are_stacked(tmp_path):
    grid = sweep_here(toy_tasks.Stroll(), OVER, tmp_path)
    observed = grid.observed
    assert observed.drift.dims == ("sigma", "seed", "chain", "draw", "axis")
    run = hs.open(
        observed.run.sel(sigma=1.0, seed=4).item(),
        store=tmp_path,
        task=toy_tasks.Stroll,
    )
    xr.testing.assert_equal(
        run.observed.far.astype(float),
        observed.far.sel(sigma=1.0, seed=4, drop=True),
    )


@pytest.mark.slow
def test_the_best_trial_and_the_average(tmp_path):
    """The error of a mean over six is 1.11 times that of many: it holds in 68.3 %."""
    grid = sweep_here(
        toy_tasks.Stroll(), {"sigma": [0.5, 1.0, 2.0], "chains": [2, 3]}, tmp_path
    )
    values = grid.summary.x
    best = grid.best("x", "max")
    assert grid.headlines[best.runs[0]]["x"] == best.headline["x"]
    assert best.headline["x"].value == float(values.max())
    average = grid.average()["x"]
    assert average.value == pytest.approx(float(values.mean()))
    assert np.isnan(average.error)  # chosen values are no sample
    seeds = sweep_here(toy_tasks.Stroll(), {"seed": range(6)}, tmp_path)
    error = float(seeds.summary.x.std(ddof=1)) / 6**0.5
    assert seeds.average()["x"].error == pytest.approx(1.1105 * error, rel=1e-4)
    with pytest.raises(hs.RequestError, match="'y'; there are x"):
        grid.best("y")


def test_stored_cells_end_before_workers_start(tmp_path):
    """Also where no cluster can be reached."""
    sweep_here(toy_tasks.Stroll(), {"sigma": [1.0]}, tmp_path)
    over = {"sigma": [0.5, 1.0]}
    preview = sweep_here(toy_tasks.Stroll(), over, tmp_path, dry_run=True)
    request = SweepRequest(preview.plan, None, 0, Placement("nowhere"), tmp_path)
    context = run_context(request, request.journal, SweepDisplay())
    ended = run_cells(FixedCells(preview.cells), context)
    cell, outcome = next(ended)
    assert cell.values == {"sigma": 1.0} and not outcome.computed
    ended.close()
