"""Datasets describe themselves, also in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs


@dataclass(frozen=True)
class Paces(toy_tasks.Stroll):
    """Walks whose field has the unit of a variable."""

    sigma: float = 1.0  # size of a step, bohr


def swept(task, over, store, **options):
    return hs.sweep(task, over=over, steps=4, store=store, on="here", **options)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    over = {"sigma": [0.5, 1.0], "seed": [0, 1]}
    return swept(Paces(chains=3), over, tmp_path_factory.mktemp("grid"))


def test_a_dataset_has_the_identity_of_its_sweep(grid):
    for data in (grid.dataset, grid.summary, grid.observed):
        assert data.attrs["sweep"] == grid.id and data.attrs["task"] == "paces"
        assert data.attrs["search"] == "grid" and data.attrs["steps"] == 4
        assert json.loads(data.attrs["fields"]) == {"chains": 3}
        assert json.loads(data.attrs["over"]) == {"sigma": [0.5, 1.0], "seed": [0, 1]}
        assert "seed" not in data.attrs and "metrics" not in data.attrs


def test_an_axis_has_the_help_of_its_field(grid, tmp_path):
    data = grid.dataset
    assert data.sigma.attrs == {"long_name": "size of a step", "units": "bohr"}
    assert data.seed.attrs == {"long_name": "seed of the run"}
    other = swept(toy_tasks.Stroll(), {"sigma": [1.0], "chains": [1, 2]}, tmp_path)
    assert other.dataset.sigma.attrs == {"long_name": "size of a step"}  # no unit
    assert other.dataset.chains.attrs == {"long_name": "how many walks"}


def test_a_dataset_of_draws_has_the_options_of_its_search(tmp_path):
    over, how = {"sigma": hs.Range(0.1, 1)}, {"search": "random", "trials": 2}
    how |= {"seed": 7, "metric": "x", "mode": "max", "search_seed": 3}
    data = swept(Paces(), over, tmp_path, **how).dataset
    expected = {"seed": 7, "search": "random", "search_seed": 3, "x64": "false"}
    assert expected.items() <= data.attrs.items()
    assert json.loads(data.attrs["metrics"]) == [["x", "max"]]
    assert json.loads(data.attrs["over"])["sigma"]["high"] == 1
    assert data.sigma.dims == ("trial",) and data.sigma.attrs["units"] == "bohr"


@pytest.mark.parametrize("table", ["dataset", "summary", "observed"])
def test_a_file_has_the_same_data(grid, tmp_path, table):
    data = getattr(grid, table)
    data.to_netcdf(tmp_path / "sweep.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "sweep.nc", engine="h5netcdf") as read:
        xr.testing.assert_equal(read.drop_vars(TEXTS), data.drop_vars(TEXTS))
        assert all(np.array_equal(read[n].astype(str), data[n]) for n in TEXTS)
        assert read.attrs == data.attrs and read.sigma.attrs == data.sigma.attrs


TEXTS = ["run", "state"]
"""Variables with another dtype in a file."""


def test_a_file_has_text(tmp_path):
    data = swept(toy_tasks.Talk(), {"items": [1, 2]}, tmp_path).dataset
    data.to_netcdf(tmp_path / "talk.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "talk.nc", engine="h5netcdf") as read:
        assert np.array_equal(read.word.astype(str), data.word)
        assert read.attrs["task"] == "talk" and read["items"].attrs["long_name"]
