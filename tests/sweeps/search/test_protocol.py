"""A search is one module in the folder of searches: no other module knows its name."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps import search

SWEEPS = Path(search.__file__).parents[1]

HALVES = '''
"""Search ``halves``: the middle of every range."""

import numpy as np

from heliostat.results.goal import Goal
from heliostat.sweeps.search import WrappedSearch
from heliostat.sweeps.search.draws import Draws


class Short(WrappedSearch):
    """A scheduler that ends all runs after the first segment."""

    def goals(self, plan, journal, until):
        return lambda cell: Goal(cell.task, plan.schedule.grace)


SEARCHES = {"halves": Draws(lambda count, axes, seed: np.full((count, axes), 0.5))}
SCHEDULERS = {"short": Short}
'''


@pytest.fixture
def halves(tmp_path, monkeypatch):
    """A new module in the folder of searches."""
    (tmp_path / "halves.py").write_text(HALVES)
    monkeypatch.setattr(search, "__path__", [*search.__path__, str(tmp_path)])
    search._tables.cache_clear()
    yield
    search._tables.cache_clear()


def halved(store, **options):
    options = {"on": "here", "trials": 1, "store": store, **options}
    over = {"sigma": hs.Range(1, 3)}
    return hs.sweep(toy_tasks.Stroll(), over=over, search="halves", **options)


def test_a_new_search_is_one_new_module(halves, tmp_path):
    result = halved(tmp_path / "s", steps=10)
    assert [cell.values for cell in result.cells] == [{"sigma": 2.0}]
    opened = hs.open_sweep(result.id, store=tmp_path / "s", task=toy_tasks.Stroll)
    assert np.array_equal(opened.dataset.x, result.dataset.x)
    assert halved(tmp_path / "s", steps=10, dry_run=True).reused == 1


def test_a_new_scheduler_is_one_new_module(halves, tmp_path):
    options = {"scheduler": "short", "grace": 10, "metric": "x", "steps": 30}
    assert list(halved(tmp_path, **options).table.steps) == [10]


def test_without_the_module_the_name_is_unknown(tmp_path):
    with pytest.raises(hs.RequestError, match="search 'halves': there is none"):
        halved(tmp_path)


def test_no_other_module_compares_the_name_of_a_search():
    searches, schedulers = search._tables()
    names = {*searches, *schedulers}
    compared = {
        f"{path.name}: {constant.value}"
        for path in SWEEPS.rglob("*.py")
        if path.parent.name != "search"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and constant.value in names
    }
    assert not compared
