"""Looking at what is stored: runs, show, logs, watch, export, plot, verify."""

from __future__ import annotations

from pathlib import Path

import xarray as xr
from support.toy_tasks import HERE, WALK

import heliostat as hs
from heliostat.config import registry
from heliostat.driver import verbs
from heliostat.store import lock


def test_runs_lists_where_runs_differ(type_in, stored):
    other = type_in("run", WALK, "--sigma", "2", *HERE, "--json").object
    table = type_in("runs").out
    assert stored["id"] in table and "sigma=1.0" in table and "chains" not in table
    listed = type_in(
        "runs", "--task", "walk", "--where", "sigma > 1.5", "--json"
    ).object
    assert [r["id"] for r in listed["runs"]] == [other["id"]]
    assert listed["runs"][0]["x"] == other["headline"]["x"]["value"]
    assert type_in("runs", "--where", "sigma > 9", "--json").object == {"runs": []}


def test_show_describes_a_run(type_in, stored):
    shown = type_in("show", stored["id"][:8]).out
    for part in (
        "complete",
        "sigma = 1.0",
        "jax",
        "seed 0",
        "states kept",
        stored["path"],
    ):
        assert part in shown


def test_show_describes_a_task(type_in):
    shown = type_in("show", WALK).out
    for part in (
        "Gaussian random walks",
        "size of a step",
        "position",
        "bohr",
        "40 steps",
    ):
        assert part in shown


def test_tasks_lists_a_broken_plugin_as_broken(type_in, monkeypatch):
    broken = registry.EntryPoint("worse", "no_such_package:Task", registry.GROUP)
    both = {**registry.available(), "worse": broken}
    monkeypatch.setattr(registry, "available", lambda: both)
    said = type_in("tasks")
    assert said.status == 0 and "vmc" in said.out
    assert "task 'worse' is broken: ModuleNotFoundError" in said.out


def test_logs_tell_events(type_in, stored):
    lines = type_in("logs", stored["id"]).out.splitlines()
    assert "started" in lines[0] and "complete" in lines[-1]


def test_watch_returns_when_nobody_drives(type_in, stored):
    said = type_in("watch", stored["id"], "--task", WALK)
    assert said.status == 0 and "complete" in said.out


def test_export_writes_netcdf(type_in, stored, tmp_path):
    file = tmp_path / "rows.nc"
    assert type_in("export", stored["id"], "-o", file).out.strip() == str(file)
    with xr.open_dataset(file, engine="h5netcdf") as rows:
        assert rows.x.sizes == {"chain": 5, "draw": 40}


def test_plot_writes_a_picture(type_in, stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = type_in("plot", stored["id"], "x", "--task", WALK)
    assert said.out.strip() == f"{stored['id']}.png" and Path(said.out.strip()).exists()


def test_plot_takes_a_kind(type_in, stored, tmp_path):
    words = ("plot", stored["id"], "x", "--task", WALK, "-o", tmp_path / "x.png")
    said = type_in(*words, "--kind", "rank")
    assert said.status == 0 and (tmp_path / "x.png").exists()
    assert "did you mean 'energy'?" in type_in(*words, "--kind", "energies").error


def test_rm_asks_first(type_in, stored):
    assert "wants --yes" in type_in("rm", stored["id"]).error
    assert type_in("rm", stored["id"], "--yes").status == 0
    assert not Path(stored["path"]).exists()
    assert type_in("gc").status == 0


def test_verify_tells_with_its_status(type_in, stored):
    words = ("verify", stored["id"], "--task", WALK, *HERE, "--segments")
    said = type_in(*words, "all", "--json")
    assert said.status == 0 and said.object["status"] == "ACCEPT"
    assert said.object["replayed"] and said.object["reasons"] == []
    spec = Path(stored["path"]) / "spec.json"
    spec.write_text(spec.read_text().replace('"seed": 0', '"seed": 1'))
    said = type_in(*words, "0", "--json")
    assert said.status == 1 and said.object["status"] == "REJECT"
    assert "spec.json" in said.object["reasons"][0]
    assert type_in(*words, "-1").status == type_in(*words, "few").status == 2


def test_check_tries_the_laws(type_in, monkeypatch):
    monkeypatch.setattr(
        hs, "check_task", lambda task, workers: {"one": None, "two": "no"}
    )
    said = type_in("check", WALK, "--chains", "2", *HERE)
    assert said.status == 1
    assert said.out.splitlines() == ["holds   one", "broken  two: no"]


def test_start_returns_at_once(type_in, monkeypatch, store):
    both = {"walk": registry.EntryPoint("walk", WALK, registry.GROUP)}
    monkeypatch.setattr(registry, "available", lambda: both)
    spawned = []
    monkeypatch.setattr(verbs, "spawn", lambda record, words: spawned.append(words))
    said = type_in("start", "walk", "--steps", "20", *HERE, "--json")
    assert said.object["status"] == "started" and said.object["steps"] == 0
    words = ["resume", said.object["id"], "--store", str(store), "--steps", "20", *HERE]
    assert spawned == [words]


def test_stop_asks_the_driver(type_in, stored):
    assert "is not running" in type_in("stop", stored["id"]).error
    with lock.Lock(Path(stored["path"])):
        assert type_in("stop", stored["id"]).status == 0
    assert (Path(stored["path"]) / "stop").exists()
