"""Continuations: each cell starts from its neighbour, and is a run like any other."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pytest

import heliostat as hs
from heliostat.driver.progress import silent


def trouble(task):
    """Do nothing before a step; a test replaces this."""


@dataclass(frozen=True)
class Relax(hs.Task):
    """x' = (x + target)/2 + noise: an end depends on the start, and on the seed."""

    target: float = 0.0  # of x
    size: int = 1  # of what a child must equal
    emits = {"x": hs.Var(dtype="float64")}
    finds = ("x",)
    traced, stride, steps = False, 2, 4

    def init(self, key, replica, data):
        return 0.0

    def step(self, key, state, data):
        trouble(self)
        x = (state + self.target) / 2 + 0.1 * self.size
        return x, {"x": x}

    def check_parent(self, parent):
        if parent.size != self.size:
            raise hs.RequestError(f"its size is {parent.size}, expected {self.size}")

    def headline(self, rows):
        return {"x": hs.Estimate(float(rows.x.isel(step=-1)))}


TARGETS = [1.0, 2.0, 4.0]
OVER = {"seed": [0, 1], "target": TARGETS}


def curve(store, **options):
    defaults = {"over": OVER, "scheduler": "continuation", "on": "here"}
    task = options.pop("task", Relax())
    return hs.sweep(task, store=store, progress=False, **defaults | options)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    return curve(tmp_path_factory.mktemp("calm"))


def ids(sweep):
    return [cell.id for cell in sweep.cells]


def at(sweep, seed, target):
    values = {"seed": seed, "target": target}
    return next(cell for cell in sweep.cells if cell.values == values)


def test_each_cell_goes_on_where_its_neighbour_has_ended(calm):
    """In plain Python; seeds make chains of their own."""
    assert calm.dims == ("seed", "target") and calm.states == {"done": 6}
    for seed in (0, 1):
        x = 0.0
        for target in TARGETS:
            for stored in calm.dataset.x.sel(seed=seed, target=target).values.ravel():
                x = (x + target) / 2 + 0.1
                assert stored == x
        lineage = calm.lineage(at(calm, seed, 4.0))
        assert [cell.values["target"] for cell in lineage] == TARGETS


def test_each_cell_is_a_run_that_is_repeated_and_verified_by_itself(calm):
    run = None
    for target in TARGETS:
        about = {"seed": 1, "parent": run, "store": calm.store, "on": "here"}
        run = hs.run(Relax(target=target), progress=silent, **about)
        assert run.id == at(calm, 1, target).id
    assert hs.verify(run, segments="all", on="here").status == "ACCEPT"


def test_a_stored_curve_is_opened_and_not_computed_again(calm):
    again = curve(calm.store)
    assert (again.computed, again.reused, again.id) == (0, 6, calm.id)
    stored = hs.open_sweep(calm.id, store=calm.store, task=Relax)
    assert ids(stored) == ids(again) == ids(calm)
    assert stored.summary.identical(calm.summary)
    assert curve(calm.store, dry_run=True).reused == 6
    assert curve(calm.store, steps=6, dry_run=True).unknown == 4  # other parents


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError("no"), "failed"), (hs.Paused("wait"), "stopped")]
)
def test_cells_behind_one_that_ends_early_are_reported_and_mended(
    calm, tmp_path, monkeypatch, error, state
):
    def fail(task):
        if task.target == 2.0:
            raise error

    monkeypatch.setattr(sys.modules[__name__], "trouble", fail)
    broken = curve(tmp_path)
    last = {"failed": "failed", "stopped": "waiting"}[state]
    expected = [["done", state, last]] * 2
    stored = hs.open_sweep(broken.id, store=tmp_path, task=Relax)
    for sweep in (broken, stored):
        assert sweep.summary.state.values.tolist() == expected
        assert (
            np.isfinite(sweep.summary.x.values).tolist() == [[True, False, False]] * 2
        )
    if state == "failed":
        reason = broken.reason(at(broken, 0, 4.0))
        assert reason.startswith(f"its neighbour, run {at(broken, 0, 2.0).id}, failed")
    monkeypatch.undo()
    mended = curve(tmp_path)
    assert ids(mended) == ids(calm) and mended.summary.x.equals(calm.summary.x)
    assert mended.states == {"done": 6} and mended.reused == 2


def test_an_interrupted_curve_continues_where_it_was(calm, tmp_path, monkeypatch):
    def interrupt(task):
        if task.target == 4.0:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[__name__], "trouble", interrupt)
    with pytest.raises(KeyboardInterrupt):
        curve(tmp_path)
    monkeypatch.undo()
    (sweep,) = (tmp_path / "sweeps").iterdir()
    stored = hs.open_sweep(sweep.name, store=tmp_path, task=Relax)
    assert stored.shape == (2, 3) and stored.states["waiting"] >= 2
    assert ids(curve(tmp_path)) == ids(calm)


def test_a_neighbour_may_be_extended_and_lose_the_state_it_gave(tmp_path):
    first = curve(tmp_path, over={"target": TARGETS})
    start = first.runs[ids(first)[0]]
    hs.extend(start, steps=8, on="here", progress=silent)
    start.record.checkpoints.drop(0, [4])  # as a run of many more steps does
    again = curve(tmp_path, over={"target": TARGETS})
    assert ids(again) == ids(first) and again.computed == 0


@pytest.mark.slow
def test_workers_compute_the_same_curve(fleet_ray, calm, tmp_path):
    both = curve(tmp_path, on="local", workers=2, gpus=0)
    assert ids(both) == ids(calm) and both.summary.x.equals(calm.summary.x)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"over": {"seed": [0, 1]}}, "name also a field"),
        ({"search": "sobol", "trials": 3}, "leave search and trials out"),
        ({"until": "x > 1"}, "give steps"),
        ({"grace": 2}, "grace 2: it is for a scheduler that compares cells"),
        ({"over": {"size": [1, 2]}}, "over size=2: it cannot start from size=1: its"),
    ],
)
def test_mistakes_get_one_line(tmp_path, options, says):
    with pytest.raises(hs.RequestError, match=says) as error:
        curve(tmp_path, **options)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_an_axis_that_changes_the_state_may_make_chains(tmp_path):
    over = {"target": TARGETS[:2], "size": [1, 2]}
    assert curve(tmp_path, over=over).states == {"done": 4}
