"""What is shown while a sweep goes on, where no line can be kept up to date."""

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


class Talkative(SweepDisplay):
    """Says everything, into a string."""

    EVERY = 0.0

    def __init__(self):
        self._said = io.StringIO()
        super().__init__(Console(file=self._said, width=200))

    @property
    def lines(self):
        return self._said.getvalue().splitlines()

    @property
    def shares(self):
        """How far those under way were, with how many that were."""
        told = [re.search(r"(\d+) under way at (\d+)%", line) for line in self.lines]
        return [(int(found[1]), int(found[2])) for found in told if found]

    @property
    def gained(self):
        """Cells that were computed, as far as commits tell."""
        return self._gained


def shown(task, store, **options):
    display = Talkative()
    hs.sweep(task, over=OVER, store=store, on="here", progress=display, **options)
    return display


@pytest.mark.parametrize("task", [toy_tasks.Tuned(chains=3), toy_tasks.Stroll()])
def test_cells_are_followed_from_commit_to_commit(tmp_path, task):
    """Together in a pack, or one after another: the first commit is of one stride."""
    shares = (display := shown(task, tmp_path, steps=40)).shares
    pack = bool(task.packable)
    assert shares[0] == ((4, 12) if pack else (1, 25))  # of the first of two blocks
    assert shares[-1][1] == 100 and {count for count, _ in shares} <= {4, 3, 2, 1}
    assert display.gained == pytest.approx(4)
    assert display.lines[-1].startswith("4/4 runs  4 done  ")


def test_what_was_there_before_is_no_gain(tmp_path):
    task = toy_tasks.Tuned(chains=3)
    shown(task, tmp_path, steps=20)
    display = shown(task, tmp_path, steps=40)
    assert display.shares[0] == (4, 62) and display.gained == pytest.approx(2)
    display = shown(task, tmp_path, steps=40)
    assert display.shares == [] and display.gained == 0
    assert display.lines[-1].startswith("4/4 runs  4 reused  ")


def test_the_time_left_is_that_of_what_is_left(tmp_path):
    """Two of four cells in two seconds, evenly: two more for the rest."""
    display = Talkative()
    ledger: Any = SimpleNamespace(path=tmp_path)
    with display.following(ledger, 4):
        display._recent.extend([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)])
        assert display._rate(2.0) == ["1 runs/s", "0:02 left"]
        assert display._rate(0.0) == []
