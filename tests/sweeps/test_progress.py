"""The progress of a sweep without a terminal: lines with rates and shares."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps.progress import SweepDisplay

OVER = {"sigma": [0.5, 1.0], "seed": [0, 1]}


class Verbose(SweepDisplay):
    """Display that prints every line into a string."""

    EVERY = 0.0

    def __init__(self):
        self._text = io.StringIO()
        super().__init__(Console(file=self._text, width=200))

    @property
    def lines(self):
        return self._text.getvalue().splitlines()

    @property
    def shares(self):
        """Number and mean share of the active cells, by line."""
        matches = [re.search(r"(\d+) under way at (\d+)%", t) for t in self.lines]
        return [(int(m[1]), int(m[2])) for m in matches if m]

    @property
    def gained(self):
        """Cells that were computed, by their commits."""
        return self._gained


def shown(task, store, **options):
    display = Verbose()
    hs.sweep(task, over=OVER, store=store, on="here", progress=display, **options)
    return display


@pytest.mark.parametrize("task", [toy_tasks.Tuned(chains=3), toy_tasks.Stroll()])
def test_cells_are_followed_from_commit_to_commit(tmp_path, task):
    """In a pack or one after another; the first commit is one stride."""
    shares = (display := shown(task, tmp_path, steps=40)).shares
    pack = bool(task.packable)
    assert shares[0] == ((4, 12) if pack else (1, 25))  # of the first of two blocks
    assert shares[-1][1] == 100 and {count for count, _ in shares} <= {4, 3, 2, 1}
    assert display.gained == pytest.approx(4)
    assert display.lines[-1].startswith("4/4 runs  4 done  ")


def test_stored_steps_do_not_count(tmp_path):
    task = toy_tasks.Tuned(chains=3)
    shown(task, tmp_path, steps=20)
    display = shown(task, tmp_path, steps=40)
    assert display.shares[0] == (4, 62) and display.gained == pytest.approx(2)
    display = shown(task, tmp_path, steps=40)
    assert display.shares == [] and display.gained == 0
    assert display.lines[-1].startswith("4/4 runs  4 reused  ")


def test_the_time_left_follows_from_the_rate(tmp_path):
    """Two of four cells took two seconds: two more for the rest."""
    display = Verbose()
    journal: Any = SimpleNamespace(path=tmp_path)
    with display.follow(journal, 4):
        display._recent.extend([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)])
        assert display._rate(2.0) == ["1 runs/s", "0:02 left"]
        assert display._rate(0.0) == []
