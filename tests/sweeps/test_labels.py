"""Labels of axes keep the values that a user gave, whatever their types."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps.axes import parse_axes


@dataclass(frozen=True)
class Options(toy_tasks.Stroll):
    """Walks with a field of each kind, of which none changes a walk."""

    maybe: float | None = None  # a number or none
    count: int | None = None  # a whole number or none
    flag: bool = False  # true or false
    source: hs.File | None = None  # a file or none
    shape: tuple[int, ...] = (1,)  # whole numbers


def swept(store, over, **options):
    options = {"steps": 2, "on": "here", "store": store, **options}
    return hs.sweep(Options(), over=over, **options)


def test_none_and_booleans_are_labels_that_can_be_selected(tmp_path):
    over = {"maybe": [None, 0.5], "count": [2, None], "flag": [True, False]}
    grid = swept(tmp_path, over)
    one = grid.summary.sel(maybe=0.5, count=2, flag=True)
    cell = next(c for c in grid.cells if c.values == {**one_value(over), "flag": True})
    assert one.run.item() == cell.spec.id and grid.summary.flag.dtype == bool
    assert np.isnan(grid.summary.maybe.values[0])
    assert grid.summary.sel(maybe=np.nan).sizes == {"count": 2, "flag": 2}
    opened = hs.open_sweep(grid.id, store=tmp_path, task=Options)
    assert opened.summary.identical(grid.summary)
    grid.dataset.to_netcdf(tmp_path / "rows.nc", engine="h5netcdf")
    read = xr.open_dataset(tmp_path / "rows.nc", engine="h5netcdf")
    assert read.sel(maybe=0.5, count=2).sizes["flag"] == 2
    ticks = swept(tmp_path, {"maybe": [None, 0.5, 2.0]}).plot().get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["None", "0.5", "2"]


def one_value(over):
    return {"maybe": over["maybe"][1], "count": over["count"][0]}


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, 2.0]),
        [np.array(1.0), np.float64(2.0)],
        xr.DataArray([1.0, 2.0], dims="s"),
        list(xr.DataArray([1.0, 2.0], dims="s")),
        jnp.array([1.0, 2.0]),
    ],
)
def test_arrays_and_their_entries_are_numbers(values, tmp_path):
    grid = swept(tmp_path, {"sigma": values}, dry_run=True)
    assert grid.axes == {"sigma": (1.0, 2.0)}
    assert [type(value) for value in grid.axes["sigma"]] == [float, float]


def test_arrays_are_tuples_seeds_and_flags_too(tmp_path):
    over = {
        "shape": [np.array([1, 2]), [3]],
        "seed": xr.DataArray([0, 1], dims="s"),
        "flag": np.array([True, False]),
    }
    grid = swept(tmp_path, over, dry_run=True)
    expected = {"shape": ((1, 2), (3,)), "seed": (0, 1), "flag": (True, False)}
    assert grid.axes == expected
    with pytest.raises(hs.RequestError, match="expected several values, got 2"):
        swept(tmp_path, {"sigma": np.array(2.0)})


def test_files_of_equal_content_keep_their_labels(tmp_path):
    """Also if they are paths; their cells share one run."""
    files = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for file, text in zip(files, ("same", "same", "other"), strict=True):
        file.write_text(text)
    grid = swept(tmp_path / "store", {"source": files, "seed": [0, 1]})
    opened = hs.open_sweep(grid.id, store=tmp_path / "store", task=Options)
    for sweep in (grid, opened):
        assert sweep.summary.source.values.tolist() == [str(file) for file in files]
        runs = [sweep.summary.sel(source=str(f)).run.values.tolist() for f in files]
        assert runs[0] == runs[1] != runs[2] and len(sweep.states) == 1
    assert grid.states == {"done": 4}


def test_none_can_be_typed_on_the_command_line():
    texts = ["maybe=None,0.5", "source=None,None.txt", "flag=true,False"]
    assert parse_axes(Options, texts) == {
        "maybe": [None, 0.5],
        "source": [None, "None.txt"],
        "flag": [True, False],
    }


def test_the_only_number_of_the_headlines_is_the_metric_of_the_best(tmp_path):
    grid = swept(tmp_path, {"sigma": [2.0, 1.0, 3.0]})
    values = grid.summary.x.values
    assert grid.best().values["sigma"] == [2.0, 1.0, 3.0][int(np.argmin(values))]
    assert grid.best(mode="max").headline["x"].value == values.max()


def test_of_several_numbers_one_must_be_chosen(tmp_path, monkeypatch):
    def headline(self, rows):
        known = hs.Estimate(0.0, source="a book")
        return {"a": hs.Estimate(1.0), "known": known, "b": hs.Estimate(2.0)}

    monkeypatch.setattr(Options, "headline", headline)
    with pytest.raises(hs.RequestError, match="of the headline; one of a, b"):
        swept(tmp_path, {"sigma": [1.0, 2.0]}).best()
