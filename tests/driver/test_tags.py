"""Tags, names and notes: kept, shown and queried, and no part of a run."""

from __future__ import annotations

import json
import multiprocessing
import shutil

import pytest
from support import toy_tasks
from support.full_disk import files_up_to

import heliostat as hs
from heliostat.cli import main
from heliostat.driver import ensure
from heliostat.store.annotations import Annotation, annotate

OPTIONS = {"on": "here", "progress": False}
WRITERS, EACH = 4, 25


@pytest.fixture(scope="module")
def stroll(tmp_path_factory):
    """A run in a store that no test changes."""
    return hs.run(toy_tasks.Stroll(), store=tmp_path_factory.mktemp("s"), **OPTIONS)


@pytest.fixture
def run(stroll, tmp_path):
    shutil.copytree(stroll.path, tmp_path / "stroll" / stroll.id)
    return hs.open(stroll.id, store=tmp_path, task=toy_tasks.Stroll)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    store, over = tmp_path_factory.mktemp("p"), {"sigma": [0.5, 1.0, 2.0]}
    grid = hs.sweep(toy_tasks.Tuned(chains=2), over=over, store=store, **OPTIONS)
    return store, [cell.id for cell in grid.cells]


def test_tags_are_added_and_taken_away(run):
    assert hs.tag(run) == Annotation() and not (run.path / "tags.jsonl").exists()
    assert hs.tag(run, "paper", "draft", name="base") == (
        ("draft", "paper"),
        "base",
        "",
    )
    assert hs.tag(run.id, remove="draft", note="two\nlines", store=run.path.parents[1])
    assert run.annotation == (("paper",), "base", "two\nlines")
    assert hs.tag(run, "a", remove=["paper"], name="") == (("a",), "", "two\nlines")


def test_a_table_shows_and_queries_them(run, tmp_path):
    hs.run(toy_tasks.Stroll(), seed=1, store=tmp_path, **OPTIONS)
    assert hs.runs(where="'paper' in tags", store=tmp_path).empty
    hs.tag(run, "paper", "fig2", name="base")
    table = hs.runs(store=tmp_path).set_index("id")
    assert table.tags[run.id] == "fig2 paper" and table["name"][run.id] == "base"
    seeds = {
        "'paper' in tags": [0],
        "'pape' in tags": [],
        "'paper' not in tags": [1],
        "name == 'base' and not 'draft' in tags": [0],
        "'fig2' in tags or seed == 1": [0, 1],
    }
    for where, expected in seeds.items():
        assert sorted(hs.runs(where=where, store=tmp_path).seed) == expected, where
    for where in ("tags in 'paper'", "3 in tags", "'a' in 'b'", "'a' in tags in name"):
        with pytest.raises(hs.RequestError, match="where"):
            hs.runs(where=where, store=tmp_path)
    with pytest.raises(hs.RequestError, match="expected numbers, got 'a'"):
        hs.run(toy_tasks.Stroll(), until="'a' in x", store=tmp_path, **OPTIONS)


def test_a_run_is_opened_by_its_name_and_by_its_folder(run, tmp_path):
    hs.tag(run, "paper", name="my baseline")
    assert hs.open("my baseline", store=tmp_path).id == run.id
    run.path.rename(tmp_path / "stroll" / "elsewhere")
    for name in ("my baseline", "elsewhere", run.id[:6]):
        renamed = hs.open(name, store=tmp_path)
        assert renamed.id == run.id and renamed.annotation.tags == ("paper",)
    other = hs.run(toy_tasks.Stroll(), seed=1, store=tmp_path, **OPTIONS)
    hs.tag(other, name="my baseline")
    with pytest.raises(hs.RequestError, match="short for several runs"):
        hs.open("my baseline", store=tmp_path)
    assert hs.open(run.id, store=tmp_path).id == run.id


def test_nothing_of_a_run_changes(run, tmp_path):
    before = hs.runs(store=tmp_path).drop(columns=["name", "tags", "note"])
    hs.tag(run, "paper", name="base", note="n")
    after = hs.runs(store=tmp_path).drop(columns=["name", "tags", "note"])
    assert before.equals(after)
    assert hs.verify(run, on="here", segments="all").status == "ACCEPT"
    again = hs.run(toy_tasks.Stroll(), steps=30, store=tmp_path, **OPTIONS)
    assert again.id == run.id and again.annotation.name == "base"


def _write(path, writer):
    for number in range(EACH):
        annotate(path, add=[f"{writer}-{number}"], note=f"{writer}")


def test_no_writer_loses_what_another_one_writes(run):
    context = multiprocessing.get_context("fork")
    args = [(run.path, writer) for writer in range(WRITERS)]
    processes = [context.Process(target=_write, args=pair) for pair in args]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    expected = {f"{w}-{n}" for w in range(WRITERS) for n in range(EACH)}
    assert set(run.annotation.tags) == expected and run.annotation.note in "0123"


def test_cells_of_a_pack_have_their_own(pack, run_cell_alone):
    store, (first, second, _) = pack
    hs.tag(first, "low", store=store)
    hs.tag(second, "middle", name="mid", store=store)
    tags = hs.runs(store=store).set_index("id").tags
    assert tags[first] == "low" and tags[second] == "middle"
    assert hs.runs(store=store, where="'low' in tags").id.tolist() == [first]
    assert hs.open("mid", store=store).id == second
    alone = run_cell_alone(second, "meanwhile")
    assert alone.record.folder == alone.path
    assert alone.annotation == (("meanwhile", "middle"), "mid", "")
    table = hs.runs(store=store).set_index("id")
    assert table.tags[second] == "meanwhile middle" and len(table) == 3
    hs.tag(alone, name="other")
    with pytest.raises(hs.RequestError, match="no run 'mid'"):
        hs.open("mid", store=store)


@pytest.fixture
def run_cell_alone(pack, monkeypatch):
    """Extend a cell that gets a tag while it leaves its pack."""
    extract = ensure.extract_cell

    def extend(id_, word):
        def extract_and_tag(cell, task):
            alone = extract(cell, task)
            annotate(cell.path, add=[word])
            return alone

        monkeypatch.setattr(ensure, "extract_cell", extract_and_tag)
        task = toy_tasks.Tuned
        return hs.extend(hs.open(id_, store=pack[0], task=task), steps=50, **OPTIONS)

    return extend


def test_a_damaged_log_has_what_is_left_of_it(run, tmp_path):
    hs.tag(run, "paper", name="base")
    log = run.path / "tags.jsonl"
    hostile = (
        b'{"event": "tagged", "run": [1], "add": 5}\n{"event": "tagged"\n\xff\n[]\n'
    )
    log.write_bytes(log.read_bytes() + hostile)
    hs.tag(run, "fig2")
    assert run.annotation == (("fig2", "paper"), "base", "")
    assert hs.runs(store=tmp_path).tags.tolist() == ["fig2 paper"]


def test_a_log_names_no_run_of_another_place(run, tmp_path):
    hs.tag(run, "paper")
    log = run.path / "tags.jsonl"
    for place in ("../../elsewhere", str(tmp_path / "elsewhere"), "\0", "f" * 16):
        line = {"time": 1.0, "event": "tagged", "run": place, "name": "evil"}
        log.write_text(f"{log.read_text()}{json.dumps(line)}\n")
    with pytest.raises(hs.RequestError, match="no run 'evil'"):
        hs.open("evil", store=tmp_path)


def test_a_renamed_run_is_removed_by_its_name_when_that_is_confirmed(run, tmp_path):
    hs.tag(run, name="baseline")
    moved = run.path.rename(run.path.with_name("moved"))
    assert main(["rm", "baseline", "--dry-run", "--store", str(tmp_path)]) == 0
    assert main(["rm", "baseline", "--store", str(tmp_path)]) == 2  # needs --yes
    assert moved.exists()
    assert main(["rm", "baseline", "--yes", "--store", str(tmp_path)]) == 0
    assert not moved.exists()


@pytest.mark.parametrize("name", ["b2", "0123456789abcdef", "a/b", "walk.py:Walk"])
def test_a_name_is_no_id_and_no_path(run, name):
    with pytest.raises(hs.RequestError, match="not digits of an id and has no / or :"):
        hs.tag(run, name=name)


@pytest.mark.parametrize("word", ["two words", "", " ", "a\n", "\x1b[31m", 5, None])
def test_a_tag_is_a_word(run, word):
    for options in ({"remove": [word]}, {}):
        with pytest.raises(hs.RequestError, match="expected a word without spaces"):
            hs.tag(run, *([] if options else [word]), **options)
    assert not (run.path / "tags.jsonl").exists()


def test_other_mistakes_leave_nothing(run, tmp_path):
    for text in ("\x1b[31m", "two\nlines", 5):
        with pytest.raises(hs.RequestError, match=r"name .*: expected a text that can"):
            hs.tag(run, name=text)
    with pytest.raises(hs.RequestError, match="no run 'nowhere'"):
        hs.tag("nowhere", "paper", store=tmp_path)
    assert not (run.path / "tags.jsonl").exists()
    with files_up_to(3), pytest.raises(hs.StoreError, match="is not writable"):
        hs.tag(run, "paper")
    hs.tag(run, "later")
    assert run.annotation.tags == ("later",)
