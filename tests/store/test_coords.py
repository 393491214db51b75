"""Labels of dims that a task names in `coords`: stored, read and verified."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent

AXES = ("x", "y", "ζ")


@dataclass(frozen=True)
class Named(toy_tasks.Walk):
    """``d`` is a dim of its rows, ``axis`` one of what it observes."""

    coords = {"d": ("one", "two", "three"), "axis": AXES}


@dataclass(frozen=True)
class Spoken(toy_tasks.Talk):
    @property
    def coords(self):
        return {"word": ["last but one", "last"]}


def run_here(task, store, **options):
    return hs.run(task, on="here", store=store, progress=silent, **options)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return run_here(Named(), tmp_path_factory.mktemp("store"))


@pytest.fixture
def run(original, tmp_path):
    shutil.copytree(original.path, tmp_path / "named" / original.id)
    return hs.open(original.id, store=tmp_path, task=Named)


def verdict(run):
    reopened = hs.open(run.id, store=run.path.parents[1], task=Named)
    return hs.verify(reopened, segments=0, on="here")


def stored(run, group):
    import zarr

    return zarr.open_group(run.path / "record.zarr" / group, mode="r+")


def test_names_are_stored_where_their_dim_is(original):
    path = original.path / "record.zarr"
    with xr.open_datatree(path, engine="zarr", consolidated=False) as tree:
        rows, observed = tree["rows"], tree["observed"]
        assert rows.d.values.tolist() == ["one", "two", "three"]
        assert observed.axis.values.tolist() == list(AXES)
        assert rows.d.dims == ("d",) and "axis" not in rows.coords
        assert "d" not in observed.coords


def test_a_name_selects_its_entry(original):
    drift = original.observed.drift
    np.testing.assert_array_equal(drift.sel(axis="ζ"), drift.values[..., 2])
    assert (original.rows.n.sel(d="two") == 1).all()


def test_names_change_no_row(original, tmp_path):
    plain = run_here(toy_tasks.Walk(), tmp_path)
    xr.testing.assert_equal(plain.rows, original.rows.drop_vars("d"))


def test_tasks_in_plain_python_have_them_too(tmp_path):
    run = run_here(Spoken(), tmp_path)
    said = run.observed["last"].values
    lengths = run.observed.lengths.sel(word="last").values.tolist()
    assert lengths == [[len(word) for word in turns] for turns in said]
    assert hs.verify(run, segments="all", on="here").status == "ACCEPT"


def test_an_extended_run_and_an_exported_one_have_them(original, tmp_path):
    run_here(Named(), tmp_path, steps=13)
    longer = run_here(Named(), tmp_path)
    xr.testing.assert_identical(
        longer.observed.drop_attrs(), original.observed.drop_attrs()
    )
    assert hs.verify(longer, segments="all", on="here").status == "ACCEPT"
    with xr.open_dataset(longer.export(tmp_path / "run.nc"), engine="h5netcdf") as file:
        assert file.d.values.tolist() == ["one", "two", "three"]


@pytest.mark.parametrize("where", ["rows/d", "observed/axis"])
def test_another_name_is_found(where, run):
    group, dim = where.split("/")
    assert verdict(run).status == "ACCEPT"
    names = stored(run, group)[dim]
    changed = [names[0], str(names[1]) + " ", names[2]]
    names[:] = np.array(changed, np.dtypes.StringDType())
    result = verdict(run)
    assert result.status == "REJECT"
    assert result.reasons == [f"the labels of {where} are wrong"]


def test_names_in_another_order_are_found(run):
    axis = stored(run, "observed")["axis"]
    axis[:] = axis[:][::-1]
    assert verdict(run).reasons == ["the labels of observed/axis are wrong"]


@pytest.mark.parametrize("size", [2, 4])
def test_too_few_or_too_many_names_are_found(size, run):
    stored(run, "rows")["d"].resize((size,))
    result = verdict(run)
    assert result.status == "REJECT" and "rows/d" in result.reasons[0]


def test_a_damaged_name_is_found(run):
    file = run.path / "record.zarr" / "rows" / "d" / "c" / "0"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert "rows/d is damaged" in verdict(run).reasons[0]


@pytest.mark.parametrize("part", ["c/0", ""])
def test_names_that_are_gone_are_found(part, run):
    gone = run.path / "record.zarr" / "rows" / "d" / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    result = verdict(run)
    assert result.status == "REJECT" and "rows/d" in result.reasons[0]


@dataclass(frozen=True)
class TooFew(toy_tasks.Walk):
    coords = {"axis": ("x", "y")}


@dataclass(frozen=True)
class TooMany(toy_tasks.Talk):
    coords = {"word": ("one", "two", "three")}


@dataclass(frozen=True)
class Twice(toy_tasks.Walk):
    coords = {"axis": ("x", "y", "x")}


@dataclass(frozen=True)
class Numbers(toy_tasks.Walk):
    coords = {"axis": (1, 2, 3)}


@dataclass(frozen=True)
class Letters(toy_tasks.Walk):
    coords = {"axis": "xyz"}


@dataclass(frozen=True)
class Steps(toy_tasks.Walk):
    coords = {"draw": ("first",)}


@dataclass(frozen=True)
class Nowhere(toy_tasks.Walk):
    coords = {"axes": AXES}


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (TooFew(), "'drift' has 3 entries along 'axis', coords names 2$"),
        (TooMany(), "'lengths' has 2 entries along 'word', coords names 3$"),
        (Twice(), r"coords of 'axis': expected unique names, got \('x', 'y', 'x'\)$"),
        (Numbers(), "coords of 'axis': expected unique names, got"),
        (Letters(), "coords of 'axis': expected unique names, got 'xyz'$"),
        (Steps(), "coords cannot name 'draw', whose entries are numbered$"),
        (
            Nowhere(),
            "coords names 'axes', which is not a dim of a row; did you mean 'axis'[?]$",
        ),
    ],
)
def test_names_that_do_not_fit_are_refused(task, line, tmp_path):
    with pytest.raises(hs.RequestError) as refused:
        run_here(task, tmp_path)
    message = str(refused.value)  # without the notes that JAX adds
    assert re.search(line, message) and "\n" not in message
    assert hs.runs(store=tmp_path).empty
