"""Rows in files of other programs: netCDF with all fields, CSV, full disks."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from support import toy_tasks
from support.full_disk import files_up_to

import heliostat as hs
from heliostat.results.export import export

OPTIONS = {"on": "here", "progress": False}


@dataclass(frozen=True)
class Described(toy_tasks.Stroll):
    """Walks with a field of every kind, one of them named as an attribute is."""

    molecule: str = "LiH"
    charge: int = -1
    mirrored: bool = True
    cutoff: float | None = None
    widths: tuple[float, ...] = (0.5, 2.0)
    status: str = "solid"
    geometry: hs.File = None
    emits = toy_tasks.Stroll.emits | {"f": hs.Var(("side", "d"), "float32")}
    coords = {"side": ("north", "east")}

    def step(self, key, state, data):
        x, row = super().step(key, state, data)
        return x, {**row, "f": [[x, 0.0, 1.0], [-x, 0.0, 2.0]]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    (folder / "h2.xyz").write_text("H 0 0 0")
    task = Described(geometry=folder / "h2.xyz")
    return hs.run(task, seed=7, store=folder / "store", **OPTIONS)


def plain(run):
    """Return the tree of a run as the README opens it, without heliostat."""
    record = run.record.folder / "record.zarr"
    return xr.open_datatree(record, engine="zarr", consolidated=False)


SOURCES = {
    "rows": lambda run: run.rows,
    "observed": lambda run: run.observed,
    "tree": lambda run: run.tree,
    "plain tree": plain,
    "plain rows": lambda run: plain(run)["rows"].to_dataset(),
    "plain group": lambda run: xr.open_zarr(
        run.record.folder / "record.zarr", consolidated=False
    ),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("packed", [False, True])
def test_all_that_xarray_reads_it_writes_as_netcdf(source, packed, run, cell, tmp_path):
    data = SOURCES[source](cell if packed else run)
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    read = xr.open_datatree if isinstance(data, xr.DataTree) else xr.open_dataset
    with read(tmp_path / "a.nc", engine="h5netcdf") as stored:
        assert dict(stored.attrs) == dict(data.attrs)
        if packed:  # without texts, which come back as objects
            assert stored.equals(data.load())


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A cell of a pack."""
    store, over = tmp_path_factory.mktemp("pack"), {"sigma": [0.5, 2.0]}
    grid = hs.sweep(toy_tasks.Tuned(chains=2), over=over, store=store, **OPTIONS)
    run = hs.open(grid.cells[1].id, store=store)
    assert run.record.folder != run.path
    return run


def test_exports_carry_every_field(run, tmp_path):
    expected = {"molecule": "LiH", "charge": -1, "seed": 7, "id": run.id}
    expected |= {"mirrored": "true", "x64": "false", "widths": "[0.5, 2.0]"}
    expected |= {"status": "complete", "task": "described"}
    fields = json.loads(run.rows.attrs["fields"])
    assert fields["status"] == "solid" and fields["cutoff"] is None
    assert fields["widths"] == [0.5, 2.0] and fields["geometry"].endswith("h2.xyz")
    run.rows.to_netcdf(tmp_path / "rows.nc", engine="h5netcdf")
    run.export(tmp_path / "export.nc")
    for file in tmp_path.glob("*.nc"):
        with xr.open_dataset(file, engine="h5netcdf") as data:
            assert expected.items() <= data.attrs.items()
            assert json.loads(data.attrs["fields"]) == fields
            assert json.loads(data.attrs["provenance"])["packages"]["jax"]


def test_attributes_of_earlier_stores_are_read(run, tmp_path):
    """They were JSON objects and null, which netCDF cannot hold."""
    copy = tmp_path / "described" / run.id
    shutil.copytree(run.path, copy)
    file, attrs = copy / "record.zarr" / "zarr.json", run.record.attrs
    content = json.loads(file.read_text())
    content["attributes"] = attrs | {"reason": None, "until": None}
    file.write_text(json.dumps(content))
    old = hs.open(run.id, store=tmp_path)
    assert old.headline == run.headline and old.until is None
    old.rows.to_netcdf(tmp_path / "rows.nc", engine="h5netcdf")
    hs.extend(old, steps=30, **OPTIONS)
    plain(old).to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    assert "reason" not in plain(old).attrs


def test_csv_has_a_line_for_each_step_and_a_column_for_each_entry(run, tmp_path):
    table = pd.read_csv(run.export(tmp_path / "rows.csv"))
    entries = [f"f[{side},{d}]" for side in ("north", "east") for d in range(3)]
    assert [*table] == ["chain", "draw", *entries, "n[0]", "n[1]", "n[2]", "x"]
    rows = run.rows.load()
    assert np.allclose(table.x.to_numpy().reshape(rows.x.shape), rows.x)
    last = table.set_index(["chain", "draw"]).loc[(1, 20)]
    assert last["f[east,0]"] == pytest.approx(-float(rows.x[1, -1]))
    assert last["n[2]"] == 2 and len(table) == rows.x.size


@pytest.mark.parametrize("name", ["rows.nc", "rows.csv"])
def test_a_file_that_cannot_be_written_is_one_line_and_nothing_left(
    run, tmp_path, name
):
    complete = run.export(tmp_path / name).read_bytes()
    with files_up_to(100), pytest.raises(hs.RequestError) as full:
        run.export(tmp_path / name)
    assert str(full.value) == f"{tmp_path / name} cannot be written: File too large"
    assert [*tmp_path.iterdir()] == [tmp_path / name]
    assert (tmp_path / name).read_bytes() == complete
    with pytest.raises(hs.RequestError, match=r"written: No such file or directory$"):
        run.export(tmp_path / "nowhere" / name)
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(hs.RequestError, match=r"written: Is a directory$"):
        run.export(tmp_path / "folder.nc")


def test_a_device_is_written_and_not_replaced(run):
    with pytest.raises(hs.RequestError, match="written: No space left on device"):
        run.export("/dev/full")
    assert Path("/dev/full").is_char_device()


def test_a_run_without_rows_has_no_csv(tmp_path):
    with pytest.raises(hs.RequestError, match="the run has no rows yet"):
        export(xr.Dataset(attrs={"step_dim": "draw"}), tmp_path / "rows.csv")
    assert not (tmp_path / "rows.csv").exists()


def test_other_endings_are_refused(run, tmp_path):
    for name in ("rows.xlsx", "rows.parquet", "rows.csv.gz", "rows.json"):
        with pytest.raises(hs.RequestError, match=r"expected FILE.nc .* or FILE.csv"):
            run.export(tmp_path / name)
    assert not [*tmp_path.iterdir()]
