"""Observations, once a stride, are stored, verified and read like rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat.driver import placement
from heliostat.driver.progress import silent
from heliostat.loop.state import digest
from heliostat.store import arrays


def run_here(task, store, **options):
    return hs.run(task, on="here", store=store, progress=silent, **options)


def reopened(run):
    return hs.open(run.id, store=run.path.parents[1], task=type(run.task))


@pytest.fixture
def run(copied, tmp_path):
    return copied(tmp_path)


def test_they_are_at_the_multiples_of_the_stride(run):
    observed = run.observed
    assert dict(observed.sizes) == {"chain": 5, "draw": 4, "axis": 3}
    assert observed.draw.values.tolist() == [10, 20, 30, 40]
    assert observed.drift.attrs == {"units": "1", "long_name": "drift"}
    at = run.rows.x.sel(draw=observed.draw)
    xr.testing.assert_equal(observed.far, (abs(at) > 3).load())


def test_they_are_of_the_state_after_the_stride(tmp_path, monkeypatch):
    often = ("local", None, None, 1e-9)
    monkeypatch.setattr(placement.Placement.__new__, "__defaults__", often)
    run = run_here(toy_tasks.Walk(), tmp_path)
    assert run.kept() == [10, 20, 30, 40]
    for step in run.kept():
        drift = run.observed.drift.sel(draw=step)
        np.testing.assert_array_equal(drift, run.states(step).drift)


def test_states_are_those_of_each_replica(run):
    states = run.states()
    assert isinstance(states, toy_tasks.Position) and states.drift.shape == (5, 3)
    for replica in range(5):
        alone = run.state(replica=replica)
        np.testing.assert_array_equal(states.drift[replica], alone.drift)
        assert states.x[replica] == alone.x
    with pytest.raises(hs.RequestError, match="no state of step 39 is kept"):
        run.states(39)


def test_states_of_untraced_tasks_are_a_list(tmp_path):
    run = run_here(toy_tasks.Talk(), tmp_path)
    assert run.states() == [run.state(replica=r) for r in range(3)]
    words = run.rows.word.sel(turn=[2, 4]).values.tolist()
    assert run.observed["last"].values.tolist() == words
    assert run.observed.lengths.dims == ("item", "turn", "word")


@pytest.mark.parametrize(
    "steps", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (13, 25))]
)
def test_a_tail_has_none_and_an_extension_adds_them(steps, run, tmp_path):
    short = run_here(toy_tasks.Walk(), tmp_path / "other", steps=steps)
    assert short.observed.sizes.get("draw", 0) == steps // 10
    longer = hs.extend(short, steps=40, on="here", progress=silent)
    xr.testing.assert_identical(longer.observed.drop_attrs(), run.observed.drop_attrs())
    assert longer.record.strides(2, 10) == run.record.strides(2, 10)
    assert hs.verify(longer, segments="all", on="here").status == "ACCEPT"


def test_the_beginning_of_a_longer_run_has_its_beginning(run):
    view = run_here(toy_tasks.Walk(), run.path.parents[1], steps=25)
    assert view.observed.draw.values.tolist() == [10, 20]


def test_a_rewritten_value_is_found(run):
    import zarr

    zarr.open_group(run.path / "record.zarr/observed", mode="r+")["far"][1, 2] ^= True
    result = hs.verify(reopened(run), segments=0, on="here")
    assert result.reasons == [
        "rows differ from their digest at block 0, steps 21 to 30"
    ]


def test_a_damaged_byte_is_found(run):
    file = run.path / "record.zarr" / "observed" / "drift" / "c" / "1" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    result = hs.verify(reopened(run), segments=0, on="here")
    assert "observed/drift is damaged" in result.reasons[0]


@pytest.mark.parametrize("part", ["drift/c/1/0/0", "draw/c/0"])
def test_a_missing_chunk_is_not_read_as_nan(run, part):
    (run.path / "record.zarr" / "observed" / part).unlink()
    with pytest.raises(hs.StoreError, match="missing"):
        reopened(run).observed  # noqa: B018


def test_a_missing_group_is_found(run):
    shutil.rmtree(run.path / "record.zarr" / "observed")
    assert hs.verify(reopened(run), segments=0, on="here").status == "REJECT"


class Crash(BaseException):
    pass


@pytest.mark.parametrize(
    "number",
    [
        1,
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
        4,
    ],
)
def test_a_group_that_is_half_made_is_made_again(number, run, tmp_path, monkeypatch):
    """The first commit was a tail, so that rows are there already."""
    short = run_here(toy_tasks.Walk(), tmp_path / "other", steps=5)
    real, calls = (arrays._create_array, arrays.create_coordinate), []

    def crashing(*args):
        calls.append(1)
        if len(calls) == number:
            raise Crash
        make = real[1] if isinstance(args[2], np.ndarray) else real[0]
        return make(*args)

    with monkeypatch.context() as patch:
        patch.setattr(arrays, "_create_array", crashing)
        patch.setattr(arrays, "create_coordinate", crashing)
        with pytest.raises(Crash):
            hs.extend(short, steps=40, on="here", progress=silent)
    longer = run_here(toy_tasks.Walk(), tmp_path / "other")
    xr.testing.assert_equal(longer.observed, run.observed)
    assert hs.verify(longer, on="here").status == "ACCEPT"


def test_without_observations_a_digest_is_that_of_the_rows(tmp_path):
    run = run_here(toy_tasks.Raises(at=99), tmp_path, steps=4)
    (stride, _), *_ = run.record.strides(0, 2)
    assert stride.rows == digest({"t": np.array([[1, 2]], np.int32)})
    assert dict(run.observed.sizes) == {}
    assert not (run.path / "record.zarr" / "observed").exists()


@pytest.mark.parametrize("replicas", [1, 2])
def test_an_axis_that_a_task_names_is_always_there(replicas, tmp_path):
    run = run_here(toy_tasks.Walk(chains=replicas), tmp_path)
    assert run.rows.x.sizes == {"chain": replicas, "draw": 40}
    assert run.observed.far.sizes == {"chain": replicas, "draw": 4}
    assert hs.verify(run, segments="all", on="here").status == "ACCEPT"


def test_without_a_name_there_is_none(tmp_path):
    assert run_here(toy_tasks.Drift(), tmp_path).rows["mean"].dims == ("step",)


@dataclass(frozen=True)
class Few(toy_tasks.Walk):
    kept = 3


def test_a_task_says_how_many_states_are_kept(tmp_path):
    assert run_here(Few(), tmp_path, steps=103).kept() == [10, 100, 103]

    @dataclass(frozen=True)
    class Fewer(toy_tasks.Walk):
        kept = 2

    with pytest.raises(hs.RequestError, match="kept must be >= 3, got 2"):
        run_here(Fewer(), tmp_path)


@dataclass(frozen=True)
class Grouped(toy_tasks.Walk):
    def tree(self, rows):
        early, late = rows.isel(draw=slice(0, 10)), rows.isel(draw=slice(10, None))
        late = late[["x"]].assign_attrs(library="toys", nested={"a": [1]}, yes=True)
        return {"warmup": early, "posterior": late}


@pytest.mark.parametrize("task", [toy_tasks.Walk(), Grouped(), toy_tasks.Raises(at=99)])
def test_a_tree_has_groups_that_netcdf_can_hold(task, tmp_path):
    run = run_here(task, tmp_path)
    tree = run.tree
    first = "warmup" if isinstance(task, Grouped) else "rows"
    assert first in tree and ("observed" in tree) == bool(task.observes)
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "tree.nc", engine="h5netcdf") as result:
        for name, group in tree.children.items():
            xr.testing.assert_identical(result[name].to_dataset(), group.to_dataset())


@dataclass(frozen=True)
class Misnamed(toy_tasks.Walk):
    observes = {"sift": hs.Var(("axis",)), "far": hs.Var((), "bool")}


@dataclass(frozen=True)
class Mistyped(toy_tasks.Walk):
    observes = {"drift": hs.Var(("axis",), "int32"), "far": hs.Var((), "bool")}


@dataclass(frozen=True)
class Misshapen(toy_tasks.Talk):
    observes = {"last": hs.Var(dtype="str"), "lengths": hs.Var((), "int64")}


@pytest.mark.parametrize("task", [Misnamed(), Mistyped(), Misshapen()])
def test_what_does_not_match_observes_is_refused(task, tmp_path):
    with pytest.raises(hs.RequestError, match="observe"):
        run_here(task, tmp_path)
    assert hs.runs(store=tmp_path).empty
