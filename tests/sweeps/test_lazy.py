"""Datasets are read by slabs: the cells of one pack together, and no more of them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat.store.record import Record

SIGMAS = [0.5, 1.0, 1.5, 2.0]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A packed sweep of eight runs, whose cells stand in two dims."""
    over = {"sigma": SIGMAS, "seed": [0, 1]}
    store = tmp_path_factory.mktemp("packed")
    return hs.sweep(
        toy_tasks.Tuned(chains=3), over=over, steps=20, store=store, on="here"
    )


def stacked(sweep, name):
    """The same array, put together run by run."""
    runs = [sweep.runs[cell.id].rows[name].values for cell in sweep.cells]
    return np.stack(runs).reshape(*sweep.shape, *runs[0].shape)


@pytest.mark.parametrize(
    "key",
    [
        (),
        (1,),
        (slice(None), 1),
        (slice(None, None, -1),),
        ([3, 0, 2], [1, 0]),
        (slice(1, 3), slice(None), 2, slice(4, 15, 3)),
        (0, 0, slice(None), -1),
    ],
)
def test_any_part_of_a_packed_dataset_is_that_of_its_runs(grid, key):
    data, expected = grid.dataset.x, stacked(grid, "x")
    dims = dict(zip(data.dims, key, strict=False))
    labels = xr.DataArray(expected, dims=data.dims)
    np.testing.assert_array_equal(data.isel(dims), labels.isel(dims))


def test_cells_of_one_pack_are_one_read(grid, monkeypatch):
    opened, real = [], Record.table

    def counted(self, *args, **kwargs):
        opened.append(self.path)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Record, "table", counted)
    mean = grid.dataset.x.mean().item()
    assert mean == pytest.approx(stacked(grid, "x").mean(), rel=1e-5)
    assert opened[0] == next(iter(grid.runs.values())).shared.path
    assert opened.count(opened[0]) == 1


@pytest.mark.slow
def test_cells_of_several_records_stand_side_by_side(tmp_path):
    """A cell that left its pack and went on is longer; the others end with NaN."""
    options = {"store": tmp_path, "on": "here"}
    task = toy_tasks.Tuned(chains=3)
    short = hs.sweep(task, over={"sigma": SIGMAS[:2]}, steps=10, **options)
    long = hs.run(toy_tasks.Tuned(2.0, chains=3), steps=20, **options)
    both = hs.sweep(task, over={"sigma": SIGMAS}, steps=10, **options)
    assert both.reused == 3 and long.id in both.runs
    np.testing.assert_array_equal(both.dataset.x[:2], short.dataset.x)
    np.testing.assert_array_equal(both.dataset.x[3], long.rows.x[:, :10])


def test_a_missing_file_of_a_pack_spoils_its_own_cells_only(grid, tmp_path):
    over = {"sigma": [0.25 + i / 256 for i in range(70)]}
    task = toy_tasks.Tuned(chains=3)
    swept = hs.sweep(task, over=over, steps=10, store=tmp_path, on="here")
    run = next(iter(swept.runs.values()))
    first = run.shared.path / "record.zarr" / "rows" / "x" / "c" / "0"
    for file in [p for p in first.rglob("*") if p.is_file()]:
        file.unlink()
    data = swept.dataset.x
    assert np.isfinite(data[-1].values).all()
    with pytest.raises(hs.StoreError, match="this part of the record is missing"):
        data.mean().item()
