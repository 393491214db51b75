"""The table of runs: whole numbers, and names that do not exist."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.results.tables import table_of

BIG = 2**53 + 1
"""A whole number that no float has."""


@dataclass(frozen=True)
class Warmed(toy_tasks.Stroll):
    """Walks with whole numbers and a switch that other walks do not have."""

    burn_in: int = 100
    mirrored: bool = True


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of two tasks, in which one run is damaged."""
    store = tmp_path_factory.mktemp("store")
    options = {"on": "here", "progress": False, "store": store}
    hs.run(toy_tasks.Stroll(), **options)
    hs.run(Warmed(), seed=BIG, **options)
    damaged = hs.run(Warmed(), seed=1, **options)
    (damaged.path / "spec.json").unlink()
    (damaged.path / "spec.json").write_text("{")
    return store


def test_whole_numbers_stay_whole_where_other_runs_have_none(store, run_cli):
    table = hs.runs(store=store)
    assert sorted(table.status) == ["complete", "complete", "damaged"]
    assert table.query("burn_in == 100").seed.tolist() == [BIG]
    assert table.query("mirrored").seed.tolist() == [BIG]
    shown = run_cli("runs", "--store", store)
    assert "burn_in=100" in shown.out and "100.0" not in shown.out
    listed = run_cli("runs", "--store", store, "--json").object["runs"]
    values = {tuple(line[n] for n in ("burn_in", "seed", "steps")) for line in listed}
    assert values == {(100, BIG, 20), (None, 0, 20), (None, None, None)}


@pytest.mark.parametrize(
    ("where", "seeds"),
    [
        ("burn_in > 5", [BIG]),
        ("burn_in == 100 or steps == 20", [0, BIG]),
        ("burn_in != 5 and steps == 20", [BIG]),
        ("not burn_in > 500 and steps == 20", [0, BIG]),
        ("mirrored == 1", [BIG]),
        ("x != 99 and status != 'complete'", []),
    ],
)
def test_comparisons_with_what_a_run_lacks_are_false(store, where, seeds):
    assert sorted(hs.runs(where=where, store=store).seed) == seeds


def test_tables_of_sweeps_have_whole_numbers(store):
    table = table_of([{"l": None, "m": 2**70}, {"l": 3, "m": None}], ["first"])
    assert list(table) == ["first", "l", "m"] and table.l.dtype == "Int64"
    assert table.m[0] == 2**70


@pytest.mark.parametrize("verb", [hs.runs, hs.gc])
def test_an_unknown_store_is_an_error(verb, tmp_path, run_cli, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "results").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(hs.RequestError, match=r"no store .*; did you mean 'results'\?"):
        verb(store=tmp_path / "result")
    with pytest.raises(hs.RequestError, match="expected a folder, got a file"):
        verb(store=tmp_path / "file")
    assert not len(verb(store=tmp_path / "results")) and not len(verb())
    (tmp_path / "new").mkdir()
    missing = run_cli(verb.__name__, "--store", tmp_path / "nope")
    assert missing.status == 2 and "it appears with its first run" in missing.error


def test_no_verb_reads_a_store_that_does_not_exist(tmp_path, run_cli):
    for words in ("show 0123", "rm 0123", "verify 0123", "plot 0123", "logs 0123"):
        result = run_cli(*words.split(), "--store", tmp_path / "nowhere")
        assert result.status == 2 and result.error.startswith("no store"), words
    for read in (hs.open, hs.open_sweep, hs.remove, hs.remove_sweep):
        with pytest.raises(hs.RequestError, match="no store"):
            read("0123", store=tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_an_unknown_task_is_an_error(store, run_cli):
    for task in ("warmed", Warmed, "support.toy_tasks:Stroll", "vmc"):
        hs.runs(task, store=store)
    assert len(hs.runs(Warmed, store=store)) == 2 and hs.runs("vmc", store=store).empty
    with pytest.raises(hs.RequestError, match="unknown task 'wrmed'; did you mean 'w"):
        hs.runs("wrmed", store=store)
    unknown = run_cli("runs", "--store", store, "--task", "vcm")
    assert unknown.status == 2 and "did you mean 'vmc'" in unknown.error
