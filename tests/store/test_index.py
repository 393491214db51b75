"""Runs are found by their ids, whatever the names of their folders."""

from __future__ import annotations

import shutil

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent

HERE = {"on": "here", "progress": silent}


@pytest.fixture
def renamed(copied, tmp_path):
    run = copied(tmp_path)
    return run.path.rename(run.path.with_name("the best of March"))


def test_a_renamed_run_is_opened_by_its_id_and_by_its_name(walk, renamed):
    for name in (walk.id, walk.id[:6], renamed.name):
        run = hs.open(name, store=renamed.parents[1], task=toy_tasks.Walk)
        assert run.id == walk.id and run.path == renamed
        assert run.rows.identical(walk.rows) and run.headline == walk.headline
    table = hs.runs(store=renamed.parents[1])
    assert (table.id.item(), table.status.item()) == (walk.id, "complete")


def test_a_renamed_run_is_not_computed_again(walk, renamed):
    store = renamed.parents[1]
    again = hs.run(toy_tasks.Walk(), store=store, **HERE)
    assert again.path == renamed and again.steps == walk.steps
    longer = hs.run(toy_tasks.Walk(), store=store, steps=60, **HERE)
    assert longer.path == renamed and longer.steps == 60
    assert hs.verify(longer, segments="all", on="here").status == "ACCEPT"
    assert [p.name for p in renamed.parent.iterdir()] == [renamed.name]


def test_a_renamed_run_is_removed(walk, renamed):
    hs.remove(walk.id, store=renamed.parents[1])
    assert not renamed.exists()


def test_a_folder_named_like_another_run_is_damaged(walk, renamed):
    other = renamed.rename(renamed.with_name("0123456789abcdef"))
    with pytest.raises(hs.StoreError, match="the spec is damaged"):
        hs.open(other.name, store=other.parents[1])


def test_a_copy_beside_the_run_is_opened_by_its_name(walk, renamed):
    shutil.copytree(renamed, renamed.with_name(walk.id))
    store = renamed.parents[1]
    assert hs.open(walk.id[:4], store=store).path.name == walk.id
    assert hs.open(renamed.name, store=store).path == renamed
