"""Stored sweeps are opened with all their data, also while they run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from support import toy_tasks

import heliostat as hs


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    over = {"sigma": [0.5, 1.0, 2.0], "chains": [2, 3], "seed": [0, 1]}
    store = tmp_path_factory.mktemp("grid")
    return hs.sweep(toy_tasks.Stroll(), over=over, steps=20, store=store, on="here")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    over = {"sigma": hs.Range(0.01, 2, log=True), "chains": hs.Range(2, 4)}
    store = tmp_path_factory.mktemp("drawn")
    options = {"search": "sobol", "trials": 5, "steps": 10, "store": store}
    return hs.sweep(toy_tasks.Stroll(), over=over, on="here", **options)


def again(result, digits=8):
    return hs.open_sweep(result.id[:digits], store=result.store, task=toy_tasks.Stroll)


@pytest.mark.parametrize(
    "kind", [pytest.param("grid", marks=pytest.mark.slow), "drawn"]
)
def test_a_sweep_is_opened_again(request, kind):
    result = request.getfixturevalue(kind)
    opened = again(result)
    assert opened.id == result.id and opened.computed == 0
    xr.testing.assert_identical(opened.dataset.load(), result.dataset.load())
    xr.testing.assert_identical(opened.summary, result.summary)
    assert opened.table.drop(columns="reason").equals(
        result.table.drop(columns="reason")
    )


def test_a_run_that_was_extended_is_read_up_to_the_length_of_the_sweep(grid):
    first = grid.dataset.load()
    run = grid.runs[grid.cells[0].spec.id]
    hs.extend(hs.Run(run.path, run.task), steps=40, on="here")
    xr.testing.assert_identical(again(grid).dataset.load(), first)


def cut(result, store, events):
    """Copy a sweep, with a journal that ends after so many cells."""
    shutil.copytree(result.store, store, dirs_exist_ok=True)
    log = store / "sweeps" / result.id / "events.jsonl"
    lines, ended = [], 0
    for line in log.read_text().splitlines():
        ended += '"event": "done"' in line
        if ended <= events and '"event": "complete"' not in line:
            lines.append(line)
    log.write_text("\n".join(lines) + "\n")
    return hs.open_sweep(result.id, store=store, task=toy_tasks.Stroll)


@pytest.mark.parametrize("events", [0, 1, 4])
@pytest.mark.parametrize("kind", ["grid", "drawn"])
def test_an_unfinished_sweep_is_read_as_far_as_it_has_come(
    request, tmp_path, kind, events
):
    """Cells that wait are NaN, and count neither as computed nor as reused."""
    whole = request.getfixturevalue(kind)
    result = cut(whole, tmp_path, events)
    count = len(whole.cells)
    states = {"done": events, "waiting": count - events}
    assert result.states == {state: n for state, n in states.items() if n}
    assert (result.computed, result.reused) == (0, events)
    assert dict(result.summary.sizes) == dict(whole.summary.sizes)
    assert int((result.dataset.state == "waiting").sum()) == count - events
    if events:
        finite = result.dataset.x.notnull().any(["chain", "draw"])
        assert int(finite.sum()) == events
        assert result.plot("x", tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_an_unknown_sweep_is_refused(grid, tmp_path):
    with pytest.raises(hs.RequestError, match="no sweep 'ffff'"):
        hs.open_sweep("ffff", store=grid.store)
    with pytest.raises(hs.RequestError, match="no sweep"):
        hs.open_sweep("../x", store=grid.store)


@pytest.mark.parametrize(
    "damage",
    [
        lambda plan: plan.update(search="random"),
        lambda plan: plan["over"].update(sigma=[1.0]),
        lambda plan: plan.pop("over"),
        lambda plan: plan["spec"].update(identity=None),
    ],
)
def test_a_damaged_plan_is_refused(drawn, tmp_path, damage):
    file = drawn.path / "sweep.json"
    text = file.read_text()
    plan = json.loads(text)
    damage(plan)
    try:
        file.write_text(json.dumps(plan))
        with pytest.raises(hs.StoreError, match="damaged"):
            again(drawn)
    finally:
        file.write_text(text)


def test_plots_show_the_values(grid, drawn, tmp_path):
    assert grid.plot("x", tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    axes = grid.plot("x", kind="map")
    assert axes.get_xlabel() == "chains" and axes.get_ylabel() == "sigma"
    shown = axes.images[0].get_array()
    assert np.allclose(shown, grid.summary.x.mean("seed"), equal_nan=True)
    lines = drawn.plot("x")
    assert isinstance(lines, Axes) and len(lines.lines) == 5 + 3
    labels = [tick.get_text() for tick in lines.get_xticklabels()]
    assert labels == ["sigma (log)", "chains", "x (bohr)"]


@pytest.mark.parametrize(
    "metric, kind, line",
    [
        ("y", "auto", "metric 'y': no cell has found it; there are x"),
        ("x", "heat", "kind 'heat': expected auto, line, map, parallel or lineage"),
        ("x", "map", "a map is of a grid over two fields"),
        ("x", "line", "a line is over one field"),
    ],
)
def test_an_impossible_plot_is_refused(drawn, metric, kind, line):
    with pytest.raises(hs.RequestError, match=line):
        drawn.plot(metric, kind=kind)
