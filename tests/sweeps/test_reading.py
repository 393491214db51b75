"""Sweeps are found again in their store, as data, and drawn."""

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


def again(found, digits=8):
    return hs.open_sweep(found.id[:digits], store=found.store, task=toy_tasks.Stroll)


@pytest.mark.parametrize("kind", ["grid", "drawn"])
def test_a_sweep_is_opened_again(request, kind):
    found = request.getfixturevalue(kind)
    opened = again(found)
    assert opened.id == found.id and opened.computed == 0
    xr.testing.assert_identical(opened.dataset.load(), found.dataset.load())
    xr.testing.assert_identical(opened.summary, found.summary)
    assert opened.table.drop(columns="reason").equals(
        found.table.drop(columns="reason")
    )


def test_what_is_longer_by_now_is_read_as_far_as_it_was_asked_for(grid):
    first = grid.dataset.load()
    run = grid.runs[grid.cells[0].spec.id]
    hs.extend(hs.Run(run.path, run.task), steps=40, on="here")
    xr.testing.assert_identical(again(grid).dataset.load(), first)


def cut(found, store, events):
    """A copy of a sweep whose driver was killed after so many of its cells."""
    shutil.copytree(found.store, store, dirs_exist_ok=True)
    log = store / "sweeps" / found.id / "events.jsonl"
    lines, ended = [], 0
    for line in log.read_text().splitlines():
        ended += '"event": "done"' in line
        if ended <= events and '"event": "complete"' not in line:
            lines.append(line)
    log.write_text("\n".join(lines) + "\n")
    return hs.open_sweep(found.id, store=store, task=toy_tasks.Stroll)


@pytest.mark.parametrize("events", [0, 1, 4])
@pytest.mark.parametrize("kind", ["grid", "drawn"])
def test_a_sweep_under_way_is_read_as_far_as_it_has_come(
    request, tmp_path, kind, events
):
    """What waits is NaN, where it will be; and is neither computed nor reused."""
    whole = request.getfixturevalue(kind)
    found = cut(whole, tmp_path, events)
    count = len(whole.cells)
    states = {"done": events, "waiting": count - events}
    assert found.states == {state: n for state, n in states.items() if n}
    assert (found.computed, found.reused) == (0, events)
    assert dict(found.summary.sizes) == dict(whole.summary.sizes)
    assert int((found.dataset.state == "waiting").sum()) == count - events
    if events:
        there = found.dataset.x.notnull().any(["chain", "draw"])
        assert int(there.sum()) == events
        assert found.plot("x", tmp_path / "x.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_no_sweep_is_told(grid, tmp_path):
    with pytest.raises(hs.RequestError, match="no sweep 'ffff'"):
        hs.open_sweep("ffff", store=grid.store)
    with pytest.raises(hs.RequestError, match="no sweep"):
        hs.open_sweep("../x", store=grid.store)


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept.update(search="random"),
        lambda kept: kept["over"].update(sigma=[1.0]),
        lambda kept: kept.pop("over"),
        lambda kept: kept["spec"].update(identity=None),
    ],
)
def test_a_damaged_plan_is_refused(drawn, tmp_path, damage):
    file = drawn.path / "sweep.json"
    text = file.read_text()
    kept = json.loads(text)
    damage(kept)
    try:
        file.write_text(json.dumps(kept))
        with pytest.raises(hs.StoreError, match="damaged"):
            again(drawn)
    finally:
        file.write_text(text)


def test_pictures_show_what_is_there(grid, drawn, tmp_path):
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
def test_what_cannot_be_drawn_is_told(drawn, metric, kind, line):
    with pytest.raises(hs.RequestError, match=line):
        drawn.plot(metric, kind=kind)
