"""Verbs on a stored run, in this process: run, resume, extend, verify, query."""

from __future__ import annotations

import asyncio
import json
import linecache
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
from support import toy_tasks

import heliostat as hs
from heliostat import config
from heliostat.driver.progress import silent


@pytest.fixture
def run(copied, tmp_path):
    return copied(tmp_path)


OPTIONS = {"on": "here", "progress": False}


def run_here(task, **options):
    return hs.run(task, on="here", progress=silent, **options)


def same(one, other):
    assert one.record.strides(0, 10) == other.record.strides(0, 10)
    xr.testing.assert_identical(one.rows.drop_attrs(), other.rows.drop_attrs())


def test_rows_are_labelled(run):
    rows = run.rows
    assert dict(rows.sizes) == {"chain": 5, "draw": 40, "d": 3}
    assert rows.x.attrs == {"units": "bohr", "long_name": "position"}
    assert rows.draw.values.tolist() == list(range(1, 41))
    assert run.status == "complete" and run.headline["x"].units == "bohr"


def test_the_tree_opens_with_plain_xarray(run):
    tree = xr.open_datatree(run.path / "record.zarr", engine="zarr", consolidated=False)
    assert tree["rows"].ds.x.sizes == {"chain": 5, "draw": 40}
    assert tree["committed"].values.tolist() == [40, 40, 40]
    assert json.loads(tree.attrs["provenance"])["packages"]["jax"]


def test_the_same_request_returns_the_stored_run(run, tmp_path):
    before = run.events()
    again = run_here(toy_tasks.Walk(), store=tmp_path)
    assert again.id == run.id and again.events() == before


def test_numbers_of_numpy_are_seeds_and_steps(run, tmp_path):
    seed, steps = np.int64(run.spec.identity["seed"]), np.int32(run.steps)
    assert run_here(run.task, seed=seed, steps=steps, store=tmp_path).id == run.id
    json.dumps(config.specify(run.task, np.int64(1)).identity)


def test_fewer_steps_return_the_beginning(run, tmp_path):
    shorter = run_here(toy_tasks.Walk(), steps=13, store=tmp_path)
    assert shorter.id == run.id and shorter.rows.sizes["draw"] == 13
    xr.testing.assert_equal(shorter.rows, run.rows.isel(draw=slice(0, 13)))


def test_a_state_belongs_to_the_rows_that_are_shown(run, tmp_path):
    shorter = run_here(toy_tasks.Walk(), steps=20, store=tmp_path)
    if 20 in shorter.kept():
        assert shorter.state(-1).x == shorter.rows.x.isel(chain=0, draw=-1)
    odd = run_here(toy_tasks.Walk(), steps=13, store=tmp_path)
    with pytest.raises(hs.RequestError, match="no state of step 13"):
        odd.state(-1)


def test_numbers_are_not_cut_to_fit(tmp_path):
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Cut(toy_tasks.Raises):
        def step(self, key, state, data):
            return state, {"t": 0.75}

    with pytest.raises(hs.RequestError, match="row 't' is float64"):
        run_here(Cut(), store=tmp_path)
    assert hs.runs(store=tmp_path).empty


def test_urls_are_no_stores():
    with pytest.raises(hs.RequestError, match="not supported yet"):
        run_here(toy_tasks.Walk(), store="s3://bucket/runs")


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(10, marks=pytest.mark.slow),
        13,
        pytest.param(25, marks=pytest.mark.slow),
    ],
)
def test_an_extended_run_is_the_longer_run(first, run, tmp_path):
    short = run_here(toy_tasks.Walk(), steps=first, store=tmp_path / "other")
    longer = hs.extend(short, steps=40, on="here", progress=silent)
    same(longer, run)
    for _ in range(2):
        same(hs.extend(longer.id, steps=40, store=tmp_path / "other", **OPTIONS), run)
    assert hs.extend(longer, steps=20, **OPTIONS).rows.sizes["draw"] == 20


def test_quiet_runs_print_nothing(tmp_path, capsys):
    run = hs.run(toy_tasks.Stroll(), store=tmp_path, **OPTIONS)
    hs.extend(run, steps=30, **OPTIONS)
    hs.sweep(toy_tasks.Stroll(), over={"seed": [1]}, store=tmp_path, **OPTIONS)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_seeds_and_fields_make_other_runs(run, tmp_path):
    others = [
        run_here(toy_tasks.Walk(), seed=1, store=tmp_path),
        run_here(toy_tasks.Walk(sigma=2.0), store=tmp_path),
        run_here(toy_tasks.Walk(), x64=True, store=tmp_path),
    ]
    assert len({run.id, *(o.id for o in others)}) == 4
    assert others[2].rows.x.dtype == "float64" and others[2].rows.n.dtype == "int32"


def test_fresh_recomputes_and_compares(run, tmp_path):
    hs.run(toy_tasks.Walk(), on="here", store=tmp_path, fresh=True, progress=silent)
    chunk = run.path / "record.zarr" / "rows" / "x" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    with pytest.raises(hs.RunFailed, match="not reproduced"):
        hs.run(toy_tasks.Walk(), on="here", store=tmp_path, fresh=True, progress=silent)


def test_a_state_is_the_tasks_own_pytree(run):
    state = run.state(-1, replica=4)
    assert isinstance(state, toy_tasks.Position)
    assert state.x == run.rows.x.isel(chain=4, draw=-1)
    with pytest.raises(hs.RequestError, match="nearest"):
        run.state(39)


def test_text_rows_and_python_states(tmp_path):
    run = run_here(toy_tasks.Talk(), store=tmp_path)
    assert run.rows.word.sizes == {"item": 3, "turn": 4}
    assert (
        run.state(-1, replica=2)["said"] == run.rows.word.isel(item=2).values.tolist()
    )
    assert str(hs.verify(run, on="here")).startswith("ACCEPT")


def test_export_is_one_netcdf_file(run, tmp_path):
    path = run.export(tmp_path / "rows.nc")
    with xr.open_dataset(path, engine="h5netcdf") as data:
        xr.testing.assert_equal(data, run.rows.load())
        assert data.attrs["id"] == run.id and data.x.attrs["units"] == "bohr"
        assert json.loads(data.attrs["provenance"])["packages"]


def test_the_catalog_is_a_table(run, tmp_path):
    run_here(toy_tasks.Walk(sigma=2.0), store=tmp_path)
    run_here(toy_tasks.Drift(), store=tmp_path)
    table = hs.runs(store=tmp_path)
    assert len(table) == 3 and set(table.status) == {"complete"}
    assert hs.runs(task="walk", store=tmp_path).query("sigma > 1").sigma.tolist() == [
        2.0
    ]
    chosen = hs.runs(
        where="sigma > 1 or (task == 'drift' and not steps < 5)", store=tmp_path
    )
    assert len(chosen) == 2


@pytest.mark.parametrize(
    "where",
    [
        "sigm > 1",
        "__import__('os')",
        "sigma",
        "sigma > 1 +",
        "x.y > 2",
        "id < 3",
        ["sigma > 1"],
    ],
)
def test_conditions_are_a_small_safe_grammar(run, tmp_path, where):
    with pytest.raises(hs.RequestError, match="where"):
        hs.runs(where=where, store=tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: run_here(toy_tasks.Walk(), steps=0, store=s), "steps 0"),
        (lambda s: run_here(toy_tasks.Walk(), steps=2.5, store=s), "steps 2.5"),
        (lambda s: run_here(toy_tasks.Walk(), seed=-1, store=s), "seed -1"),
        (
            lambda s: hs.run(toy_tasks.Walk(), on="here", workers=3, store=s),
            "workers 3",
        ),
        (lambda s: hs.run(toy_tasks.Walk(), workers=0, store=s), "workers 0"),
        (lambda s: hs.run(toy_tasks.Walk(), on="", store=s), "on ''"),
        (lambda s: hs.open("abc", store=s), "no run 'abc'"),
        (lambda s: hs.extend(toy_tasks.Walk(), steps=9, store=s), "expected a run or"),
        (lambda s: hs.verify([None], store=s), r"expected a run or its id, got \[None"),
        (lambda s: run_here(toy_tasks.Walk(), until=max, store=s), "not a condition"),
        (lambda s: hs.sweep(toy_tasks.Walk(), over="seed=0", store=s), "over 'seed=0'"),
        (lambda s: hs.stop("abc", store=s), "no run 'abc'"),
        (lambda s: run_here(toy_tasks.Walk(chains=0), store=s), "replicas"),
        (lambda s: run_here(toy_tasks.Walk(chains="5"), store=s), "expected an int"),
    ],
)
def test_bad_requests_are_one_line_and_store_nothing(call, message, tmp_path):
    with pytest.raises(hs.RequestError, match=message) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.rglob("spec.json"))


def test_an_unwritable_store_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(hs.StoreError, match="not writable"):
        run_here(toy_tasks.Walk(), store=tmp_path / "file" / "store")


def test_a_mistake_in_a_step_fails_the_run_and_keeps_what_was_done(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        run_here(toy_tasks.Raises(), store=tmp_path)
    (run,) = hs.runs(store=tmp_path).id
    (note,) = caught.value.__notes__
    assert f"`heliostat logs {run} --full --store {tmp_path}` prints" in note
    run = hs.open(run, store=tmp_path, task=toy_tasks.Raises)
    assert run.status == "failed" and run.steps == 6
    failure = next(e for e in run.events() if e["event"] == "failed")
    assert (
        "author's mistake" in failure["reason"] and "Traceback" in failure["traceback"]
    )


def test_rm_and_gc(run, tmp_path):
    half_made, foreign = (
        run.path.parent / name for name in (f".{run.id}.0123abcd", ".git")
    )
    for folder in (half_made, foreign):
        folder.mkdir()
        os.utime(folder, (0, 0))
    dead = run.path / "lock.json"
    dead.write_text(json.dumps({"pid": -1, "host": "?", "expires": 0}))
    assert set(hs.gc(store=tmp_path, machine=False)) == {half_made, dead}
    assert foreign.exists()
    shutil.copytree(run.path, tmp_path / "copy")
    hs.remove(run)
    assert hs.runs(store=tmp_path).empty and (tmp_path / "copy").exists()


def test_a_driver_killed_before_the_final_status_is_finished(run, tmp_path):
    said = run.record.attrs["headline"]
    run.record.update(status="running", headline=None)
    assert hs.open(run.id, store=tmp_path).status == "interrupted"
    again = run_here(toy_tasks.Walk(), store=tmp_path)
    assert again.status == "complete" and again.record.attrs["headline"] == said


def test_a_number_has_one_spelling(tmp_path):
    from heliostat.config import specify

    assert specify(toy_tasks.Walk(sigma=2)).id == specify(toy_tasks.Walk(sigma=2.0)).id


def test_python_tasks_run_where_a_loop_is_running(tmp_path):
    """As in a notebook."""

    async def cell():
        return run_here(toy_tasks.Talk(), store=tmp_path)

    assert asyncio.run(cell()).status == "complete"


def test_python_tasks_compute_in_the_precision_of_their_run(tmp_path):
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Bits(toy_tasks.Raises):
        def step(self, key, state, data):
            return state, {"t": 8 * jax.numpy.zeros(()).dtype.itemsize}

    for x64, bits in [(False, 32), (True, 64)]:
        run = run_here(Bits(), x64=x64, steps=2, store=tmp_path)
        assert run.rows.t.values.tolist() == [bits, bits]


def test_the_beginning_of_a_longer_run_is_accepted(run, tmp_path):
    shorter = run_here(toy_tasks.Walk(), steps=13, store=tmp_path)
    assert hs.verify(shorter, segments=0, on="here").status == "ACCEPT"


def test_a_helper_beside_a_task_is_part_of_its_identity(tmp_path):
    from heliostat.config import specify
    from heliostat.config.registry import load_task

    ids = set()
    for name, scale in [("one", 2), ("two", 3)]:
        file = tmp_path / f"scaled_{name}.py"
        body = Path(toy_tasks.__file__).read_text()
        file.write_text(f"{body}\n\ndef scaled(x):\n    return {scale} * x\n")
        ids.add(specify(load_task(f"{file}:Walk")()).identity["source"])
    assert len(ids) == 2


def test_in_a_notebook_what_a_task_names_is_part_of_its_identity():
    from heliostat.config import source

    cell = """
def once(x): return {} * x
def twice(x): return once(once(x))
class Task_(Walk):
    def step(self, key, state, data): return twice(state)
"""
    texts = []
    for number in (2, 2, 3):
        text, name = cell.format(number), f"<cell {number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        space = {"Walk": toy_tasks.Walk, "__name__": "a_notebook"}
        exec(compile(text, name, "exec"), space)
        texts.append(list(source._texts(space["Task_"], False)))
    assert texts[0] == texts[1] != texts[2]


def test_the_log_survives_a_line_cut_short(run):
    before = run.events()
    with run.record.log.path.open("a") as stream:
        stream.write('{"event": "committ')
    run.record.log.append("resumed")
    assert [e["event"] for e in run.events()[len(before) :]] == ["resumed"]


def test_attributes_are_strict_json(tmp_path, monkeypatch):
    nothing = {"x": hs.Estimate(1.0)}
    monkeypatch.setattr(toy_tasks.Walk, "headline", lambda self, rows: nothing)
    run = run_here(toy_tasks.Walk(), store=tmp_path)
    text = (run.path / "record.zarr" / "zarr.json").read_text()
    stored = json.loads(text, parse_constant=pytest.fail)
    headline = json.loads(stored["attributes"]["headline"], parse_constant=pytest.fail)
    assert headline["x"][:2] == [1.0, None]
    assert np.isnan(run.headline["x"].error)


def test_a_store_may_be_below_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run = run_here(toy_tasks.Walk(), store="~/mine")
    assert run.path.is_relative_to(tmp_path / "mine")


def test_a_file_enters_the_identity_by_its_content(tmp_path):
    from dataclasses import dataclass

    EMPTY = hs.File("")

    @dataclass(frozen=True)
    class Reads(toy_tasks.Walk):
        data: hs.File = EMPTY

    from heliostat.config import specify

    one, two, three = (tmp_path / n for n in ("one", "two", "three"))
    for path, text in [(one, "a"), (two, "a"), (three, "b")]:
        path.write_text(text)
    ids = [specify(Reads(data=hs.File(str(p)))).id for p in (one, two, three)]
    assert ids[0] == ids[1] != ids[2]
    with pytest.raises(hs.RequestError, match="cannot be read"):
        specify(Reads(data=hs.File(str(tmp_path / "none"))))


def test_the_key_law():
    import jax

    from heliostat.loop.keys import root_words, step_key

    for seed in (0, 1, 2**32 - 1):
        law = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 3), 7)
        found = step_key(root_words(seed), 3, 7)
        np.testing.assert_array_equal(
            jax.random.key_data(found), jax.random.key_data(law)
        )
    with jax.enable_x64(True):
        large = jax.random.key(2**40 + 5)
        np.testing.assert_array_equal(jax.random.key_data(large), root_words(2**40 + 5))
