"""Packs: one record of many runs, each read as if it had a record of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat import config
from heliostat.driver import packs
from heliostat.driver.placement import Placement
from heliostat.driver.progress import silent
from heliostat.loop.work import MAX_MEMBERS
from heliostat.store import digests
from heliostat.store.cell import CellRecord
from heliostat.store.checkpoints import Checkpoints
from heliostat.store.pack import Pack

HERE, LONG = Placement("here", seconds=0), 25
COUNT = MAX_MEMBERS + 3  # a full batch of members, and one that is not


def cell(i, x64=False, task=toy_tasks.Tuned):
    made = task(0.5 + i / 64, chains=3, pull=i / 128, far=1 + i % 2)
    return packs.CellSpec(made, config.specify(made, i % 3, x64))


CELLS = [cell(i) for i in range(COUNT)]


def alone(i, store, steps=LONG, x64=False):
    task, spec = CELLS[i]
    about = {"seed": spec.identity["seed"], "x64": x64, "store": store}
    return hs.run(task, steps=steps, on="here", progress=silent, **about)


def same(run, other):
    """Assert that two runs have the same id, digests, rows, states and headline."""
    assert run.id == other.id and run.steps == other.steps
    for block in range(2):
        assert run.record.strides(block, 10) == other.record.strides(block, 10)
    for kind in ("rows", "observed"):
        pair = [getattr(each, kind).load().drop_attrs() for each in (run, other)]
        xr.testing.assert_identical(*pair)
    for mine, theirs in zip(run.states(), other.states(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(run.state(replica=2).x, other.state(replica=2).x)
    assert run.headline == other.headline


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    store = tmp_path_factory.mktemp("packed")
    return packs.ensure_pack(CELLS, LONG, HERE, store)


@pytest.fixture
def store(original, tmp_path):
    shutil.copytree(original[0].record.folder.parents[2], tmp_path / "s")
    return tmp_path / "s"


def opened(i, store):
    return hs.open(CELLS[i].spec.id[:12], store=store, task=toy_tasks.Tuned)


def folder(store):
    (pack,) = store.glob("*/packs/*")
    return pack


@pytest.mark.parametrize("i", [0, MAX_MEMBERS - 1, MAX_MEMBERS, COUNT - 1])
def test_a_cell_is_the_same_run_alone(i, store, tmp_path):
    same(opened(i, store), alone(i, tmp_path / "alone"))


@pytest.mark.slow
def test_in_double_precision_too(tmp_path):
    cells = [cell(i, x64=True) for i in range(3)]
    runs = packs.ensure_pack(cells, LONG, HERE, tmp_path / "packed")
    assert runs[2].rows.x.dtype == "float64"
    same(runs[2], alone(2, tmp_path / "alone", x64=True))


def test_runs_come_in_the_order_of_their_cells(original):
    assert [run.id for run in original] == [c.spec.id for c in CELLS]
    assert {run.status for run in original} == {"complete"}
    assert len({run.record.folder for run in original}) == 1


def test_few_files_are_written(original):
    """Each variable has a file per batch of cells, not per cell."""
    files = [p for p in original[0].record.folder.rglob("*") if p.is_file()]
    assert len(files) < 80


def test_a_cell_is_verified_alone_against_its_own_chain(store):
    result = hs.verify(opened(MAX_MEMBERS, store), segments="all", on="here")
    assert result.status == "ACCEPT" and len(result.replayed) >= 4
    assert all("bit for bit" in line for line in result.replayed)


def test_a_damaged_byte_condemns_the_cells_computed_with_it_only(store):
    file = folder(store) / "record.zarr" / "rows" / "x" / "c" / "1" / "0" / "0"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    result = hs.verify(opened(MAX_MEMBERS, store), segments=0, on="here")
    assert result.status == "REJECT" and "rows/x is damaged" in result.reasons[0]
    assert hs.verify(opened(0, store), segments=0, on="here").status == "ACCEPT"


def test_a_part_that_is_missing_is_named(store):
    file = folder(store) / "record.zarr" / "rows" / "x" / "c" / "1" / "0" / "0"
    file.unlink()
    with pytest.raises(hs.StoreError, match="part of the record is missing"):
        opened(MAX_MEMBERS, store).rows  # noqa: B018
    assert opened(0, store).rows.sizes["draw"] == LONG


def test_the_table_lists_every_cell(store):
    table = hs.runs(store=store).set_index("id")
    assert len(table) == COUNT and set(table.status) == {"complete"}
    line, run = table.loc[CELLS[7].spec.id], opened(7, store)
    assert (line.steps, line.seed, line.sigma) == (LONG, 1, CELLS[7].task.sigma)
    assert line.x == pytest.approx(run.headline["x"].value)
    assert len(hs.runs("tuned", "seed == 2", store)) == len(CELLS[2::3])


def test_the_rows_of_all_cells_are_one_array(store):
    home = folder(store)
    with xr.open_zarr(home / "record.zarr", group="rows", consolidated=False) as rows:
        one = rows.sel(cell=CELLS[33].spec.id).x.values
    np.testing.assert_array_equal(one, opened(33, store).rows.x.values)


@pytest.mark.slow
def test_a_longer_pack_is_that_of_longer_runs(store, tmp_path):
    """A longer pack continues from the last full stride; a shorter one is a view."""
    runs = packs.ensure_pack(CELLS, 40, HERE, store)
    same(runs[MAX_MEMBERS], alone(MAX_MEMBERS, tmp_path / "alone", 40))
    (short,) = packs.ensure_pack(CELLS, 20, HERE, store)[4:5]
    assert short.steps == 20 and short.rows.sizes["draw"] == 20
    assert short.headline == alone(4, tmp_path / "alone", 20).headline


def test_the_same_cells_in_another_order_are_the_same_pack(store):
    runs = packs.ensure_pack(CELLS[::-1], LONG, HERE, store)
    assert [run.id for run in runs] == [c.spec.id for c in CELLS[::-1]]
    assert runs[0].record.folder == folder(store)
    assert runs[0].task == CELLS[-1].task


@pytest.mark.slow
def test_a_cell_leaves_its_pack_to_go_on(store, tmp_path):
    longer = hs.extend(opened(3, store), steps=60, on="here", progress=silent)
    same(longer, alone(3, tmp_path / "alone", 60))
    assert not isinstance(longer.record, CellRecord) and longer.path.is_dir()
    assert hs.verify(longer, segments="all", on="here").status == "ACCEPT"
    same(opened(4, store), alone(4, tmp_path / "alone"))
    table = hs.runs(store=store)
    assert len(table) == COUNT and set(table.steps) == {LONG, 60}


def test_a_run_that_is_stored_in_a_pack_is_not_computed_again(store):
    run = alone(5, store)
    assert isinstance(run.record, CellRecord) and run.steps == LONG
    assert alone(5, store, 20).steps == 20 and not run.path.exists()


def test_a_cell_is_not_removed_alone(store):
    with pytest.raises(hs.RequestError, match="shares its record with other cells"):
        hs.remove(opened(0, store))
    with pytest.raises(hs.StoreError, match="which writes it"):
        opened(0, store).record.update(status="hacked")


def test_specs_that_were_changed_are_found(store):
    """Other values, another id and a file that is not JSON are refused."""
    file = folder(store) / "pack.json"
    text, victim = file.read_text(), CELLS[1].spec
    stored = json.loads(text)
    stored["cells"][victim.id]["passed"]["sigma"] = 9.0
    other = CELLS[2].spec.id
    for forged in (json.dumps(stored), text.replace(victim.id, other[::-1], 1)):
        file.write_text(forged)
        with pytest.raises(hs.StoreError, match="a digest differs"):
            hs.open(other, store=store)
        assert set(hs.runs(store=store).status) == {"damaged"}
    outside = store.parent / "f00d"
    outside.mkdir()
    file.write_text(text.replace(victim.id, str(outside), 1))
    with pytest.raises(hs.RequestError, match="no run"):
        hs.remove("f00d", store=store)
    file.write_text("{")
    with pytest.raises(hs.RequestError, match="no run"):
        hs.open(other, store=store)
    assert hs.runs(store=store).status.tolist() == ["damaged"]


def test_cells_that_cannot_share_a_program_are_refused(tmp_path):
    other = toy_tasks.Tuned(chains=4)
    for cells, reason in (
        ([], "packable fields"),
        (
            [packs.CellSpec(toy_tasks.Walk(), config.specify(toy_tasks.Walk()))],
            "packable fields",
        ),
        ([CELLS[0], packs.CellSpec(other, config.specify(other))], "differ in sigma"),
        ([CELLS[0], CELLS[0]], "twice"),
    ):
        with pytest.raises(hs.RequestError, match=reason):
            packs.ensure_pack(cells, LONG, HERE, tmp_path)
    with pytest.raises(hs.RequestError, match="steps 0"):
        packs.ensure_pack(CELLS, 0, HERE, tmp_path)
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Misspoken(toy_tasks.Tuned):
    emits = {"y": hs.Var()}


def test_a_pack_that_cannot_begin_leaves_nothing(tmp_path):
    cells = [cell(i, task=Misspoken) for i in range(2)]
    with pytest.raises(hs.RequestError, match="emits has"):
        packs.ensure_pack(cells, LONG, HERE, tmp_path)
    assert hs.runs(store=tmp_path).empty
    assert not list(tmp_path.glob("*/packs/*"))


def test_a_headline_that_fails_leaves_the_others(tmp_path, monkeypatch):
    real = toy_tasks.Tuned.headline

    def failing(self, rows):
        if self.far == 1:
            raise ZeroDivisionError("too few")
        return real(self, rows)

    monkeypatch.setattr(toy_tasks.Tuned, "headline", failing)
    runs = packs.ensure_pack(CELLS[:3], LONG, HERE, tmp_path)
    assert [bool(run.headline) for run in runs] == [False, True, False]
    (reason,) = runs[0].headline_errors
    assert reason.startswith("no estimates: ZeroDivisionError: too few")
    assert runs[1].headline_errors == ()
    events = [e for e in runs[0].events() if e["event"] == "headline"]
    assert {e["reason"] for e in events} == {reason}


def test_rows_that_cannot_be_read_at_the_end_hide_no_status(tmp_path, monkeypatch):
    def unreadable(self):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Pack, "rows", unreadable)
    runs = packs.ensure_pack(CELLS[:2], LONG, HERE, tmp_path)
    assert [run.status for run in runs] == ["complete"] * 2
    assert [run.record.headline_errors for run in runs] == [
        ["no estimates: the disk is gone"]
    ] * 2


def test_files_left_by_crashes_are_collected(store):
    partial = folder(store) / "headlines.partial"
    half = partial.parent.with_name(f".{'0' * 16}.{'1' * 8}")
    half.mkdir()
    partial.touch()
    for path in (half, partial):
        os.utime(path, (0, 0))
    assert {half, partial} <= set(hs.gc(store, machine=False))
    assert opened(0, store).headline


DRIVER = textwrap.dedent(
    """
    import sys; sys.path.insert(0, {tests!r})
    from support import toy_tasks
    from heliostat import config
    from heliostat.driver import packs
    from heliostat.driver.placement import Placement
    tasks = [toy_tasks.Tuned(0.5 + i / 64, chains=3) for i in range({count})]
    cells = [packs.CellSpec(task, config.specify(task)) for task in tasks]
    packs.ensure_pack(cells, {steps}, Placement("here", seconds=0), {store!r})
    """
)


def driver(store, steps):
    tests = str(Path(toy_tasks.__file__).parents[1])
    code = DRIVER.format(tests=tests, store=str(store), count=COUNT, steps=steps)
    return subprocess.Popen([sys.executable, "-c", code])


def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def committed(store):
    packs_committed = [Pack(p).committed for p in store.glob("*/packs/[!.]*")]
    return int(packs_committed[0].max()) if packs_committed else 0


@pytest.mark.slow
def test_a_driver_that_is_killed_loses_nothing_that_was_committed(tmp_path):
    process = driver(tmp_path / "a", 160)
    wait_for(lambda: committed(tmp_path / "a") > 20, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    table = hs.runs(store=tmp_path / "a")
    assert set(table.status) == {"interrupted"} and len(table) == COUNT
    before = Pack(folder(tmp_path / "a")).committed
    assert before.max() < 160
    tasks = [toy_tasks.Tuned(0.5 + i / 64, chains=3) for i in range(COUNT)]
    cells = [packs.CellSpec(task, config.specify(task)) for task in tasks]
    runs = packs.ensure_pack(cells, 160, HERE, tmp_path / "a")
    (event,) = [e for e in runs[0].events() if e["event"] == "resumed"]
    assert event["at"] == before.min()
    whole = packs.ensure_pack(cells, 160, Placement("here"), tmp_path / "b")
    for i in (0, COUNT - 1):
        same(runs[i], whole[i])


class Crash(Exception):
    pass


@pytest.mark.parametrize(
    "after",
    [
        pytest.param("write_chain", marks=pytest.mark.slow),
        "save",
        pytest.param("thin", marks=pytest.mark.slow),
    ],
)
def test_a_crash_between_any_two_writes_loses_nothing(
    original, tmp_path, monkeypatch, after
):
    owner = digests if after == "write_chain" else Checkpoints
    real, calls = getattr(owner, after), []

    def crashing(*args):
        real(*args)
        calls.append(1)
        if len(calls) > 3:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, after, crashing)
        with pytest.raises(Crash):
            packs.ensure_pack(CELLS, LONG, HERE, tmp_path)
    runs = packs.ensure_pack(CELLS, LONG, HERE, tmp_path)
    for i in (0, MAX_MEMBERS):
        same(runs[i], original[i])
    assert hs.verify(runs[MAX_MEMBERS], on="here").status == "ACCEPT"


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bits(fleet_ray, original, tmp_path):
    runs = packs.ensure_pack(CELLS, LONG, Placement("local", 2, 0, 0), tmp_path)
    for i in (0, MAX_MEMBERS, COUNT - 1):
        same(runs[i], original[i])
    layouts = {e["layout"] for e in runs[0].events() if e["event"] == "committed"}
    assert layouts == {"1 cpu"}
