"""Commands that show stored runs, and verify, check, start, stop and rm."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import xarray as xr
from support.toy_tasks import HERE, WALK

import heliostat as hs
from heliostat.config import registry
from heliostat.driver import verbs
from heliostat.store import lock


def test_runs_lists_the_fields_that_differ(run_cli, stored):
    other = run_cli("run", WALK, "--sigma", "2", *HERE, "--json").object
    table = run_cli("runs").out
    assert stored["id"] in table and "sigma=1.0" in table and "chains" not in table
    listed = run_cli(
        "runs", "--task", "walk", "--where", "sigma > 1.5", "--json"
    ).object
    assert [r["id"] for r in listed["runs"]] == [other["id"]]
    assert listed["runs"][0]["x"] == other["headline"]["x"]["value"]
    assert run_cli("runs", "--where", "sigma > 9", "--json").object == {"runs": []}


def test_tags_are_set_shown_and_queried(run_cli, stored):
    id_ = stored["id"]
    assert "no tags, name or note" in run_cli("tag", id_[:8]).out
    words = ("tag", id_, "paper", "fig2", "--name", "base", "--note", "a, b")
    assert "fig2 paper" in run_cli(*words).out
    about = {"tags": ["fig2"], "name": "base", "note": "a, b"}
    taken = run_cli("tag", "base", "--remove", "paper", "--json")
    assert taken.object == {"id": id_, **about}
    for words in (["runs"], ["show", "base"], ["show", id_]):
        assert "base" in run_cli(*words).out and "fig2" in run_cli(*words).out
    listed = run_cli("runs", "--where", "'fig2' in tags", "--json").object["runs"]
    assert about.items() <= listed[0].items()
    assert "no runs" in run_cli("runs", "--where", "'paper' in tags").out
    wrong = run_cli("tag", id_, "two words")
    assert wrong.status == 2 and "expected a word without spaces" in wrong.error
    assert "no run 'nowhere'" in run_cli("tag", "nowhere", "paper").error


def test_runs_are_listed_as_csv(run_cli, stored):
    note = 'a, "b"\nc [bold]:smile:' + 200 * "x"
    hs.tag(stored["id"], note=note)
    table = pd.read_csv(io.StringIO(run_cli("runs", "--csv").out))
    assert table.id.tolist() == [stored["id"]] and table.note.tolist() == [note]
    assert table.x[0] == stored["headline"]["x"]["value"] and table.chains[0] == 5
    empty = run_cli("runs", "--csv", "--where", "sigma > 9").out
    assert empty.startswith("id,task,status,") and empty.count("\n") == 1
    assert "expected one of them" in run_cli("runs", "--csv", "--json").object["error"]


def test_show_describes_a_run(run_cli, stored):
    shown = run_cli("show", stored["id"][:8]).out
    for part in (
        "complete",
        "sigma = 1.0",
        "jax",
        "seed 0",
        "states kept",
        stored["path"],
    ):
        assert part in shown


def test_show_describes_a_task(run_cli):
    shown = run_cli("show", WALK).out
    for part in (
        "Gaussian random walks",
        "size of a step",
        "position",
        "bohr",
        "40 steps",
    ):
        assert part in shown


def test_tasks_lists_a_broken_plugin_as_broken(run_cli, monkeypatch):
    broken = registry.EntryPoint("worse", "no_such_package:Task", registry.GROUP)
    both = {**registry.available(), "worse": broken}
    monkeypatch.setattr(registry, "available", lambda: both)
    result = run_cli("tasks")
    assert result.status == 0 and "vmc" in result.out
    assert "task 'worse' is broken: ModuleNotFoundError" in result.out


def test_logs_print_events(run_cli, stored):
    lines = run_cli("logs", stored["id"]).out.splitlines()
    assert "started" in lines[0] and "complete" in lines[-1]


def test_watch_returns_if_the_run_has_no_driver(run_cli, stored):
    result = run_cli("watch", stored["id"], "--task", WALK)
    assert result.status == 0 and "complete" in result.out


def test_export_writes_netcdf(run_cli, stored, tmp_path):
    file = tmp_path / "rows.nc"
    assert run_cli("export", stored["id"], "-o", file).out.strip() == str(file)
    with xr.open_dataset(file, engine="h5netcdf") as rows:
        assert rows.x.sizes == {"chain": 5, "draw": 40}
        assert rows.attrs["sigma"] == 1.0 and rows.attrs["seed"] == 0


def test_export_writes_csv_or_refuses_in_one_line(run_cli, stored, tmp_path):
    words = ("export", stored["id"], "-o")
    assert run_cli(*words, tmp_path / "rows.csv").status == 0
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert lines[0] == "chain,draw,n[0],n[1],n[2],x" and len(lines) == 1 + 5 * 40
    for name, reason in {
        "rows.xlsx": "expected FILE.nc (netCDF) or FILE.csv",
        "nowhere/rows.nc": "cannot be written: No such file or directory",
        "/dev/full": "cannot be written: No space left on device",
    }.items():
        result = run_cli(*words, tmp_path / name)
        assert result.status == 2 and reason in result.error
    assert [path.name for path in tmp_path.glob("*rows*")] == ["rows.csv"]


def test_plot_writes_a_picture(run_cli, stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_cli("plot", stored["id"], "x", "--task", WALK)
    assert (
        result.out.strip() == f"{stored['id']}.png"
        and Path(result.out.strip()).exists()
    )


def test_plot_takes_a_kind(run_cli, stored, tmp_path):
    words = ("plot", stored["id"], "x", "--task", WALK, "-o", tmp_path / "x.png")
    result = run_cli(*words, "--kind", "rank")
    assert result.status == 0 and (tmp_path / "x.png").exists()
    assert "did you mean 'energy'?" in run_cli(*words, "--kind", "energies").error


def test_rm_asks_for_confirmation(run_cli, stored):
    assert "needs --yes" in run_cli("rm", stored["id"]).error
    assert run_cli("rm", stored["id"], "--yes").status == 0
    assert not Path(stored["path"]).exists()
    assert run_cli("gc").status == 0


def test_verify_returns_its_verdict_as_exit_status(run_cli, stored):
    words = ("verify", stored["id"], "--task", WALK, *HERE, "--segments")
    result = run_cli(*words, "all", "--json")
    assert result.status == 0 and result.object["status"] == "ACCEPT"
    assert result.object["replayed"] and result.object["reasons"] == []
    spec = Path(stored["path"]) / "spec.json"
    spec.write_text(spec.read_text().replace('"seed": 0', '"seed": 1'))
    result = run_cli(*words, "0", "--json")
    assert result.status == 1 and result.object["status"] == "REJECT"
    assert "spec.json" in result.object["reasons"][0]
    assert run_cli(*words, "-1").status == run_cli(*words, "few").status == 2


def test_check_reports_the_laws(run_cli, monkeypatch):
    monkeypatch.setattr(
        hs, "check_task", lambda task, workers: {"one": None, "two": "no"}
    )
    result = run_cli("check", WALK, "--chains", "2", *HERE)
    assert result.status == 1
    assert result.out.splitlines() == ["holds   one", "broken  two: no"]


def test_start_returns_at_once(run_cli, monkeypatch, store):
    both = {"walk": registry.EntryPoint("walk", WALK, registry.GROUP)}
    monkeypatch.setattr(registry, "available", lambda: both)
    spawned = []
    monkeypatch.setattr(verbs, "spawn", lambda record, words: spawned.append(words))
    result = run_cli("start", "walk", "--steps", "20", *HERE, "--json")
    assert result.object["status"] == "started" and result.object["steps"] == 0
    words = [
        "resume",
        result.object["id"],
        "--store",
        str(store),
        "--steps",
        "20",
        *HERE,
    ]
    assert spawned == [words]


def test_stop_requests_it_of_the_driver(run_cli, stored):
    idle = run_cli("stop", stored["id"])
    assert idle.status == 0 and "is complete, with 40 steps" in idle.out
    assert not (Path(stored["path"]) / "stop").exists()
    with lock.Lock(Path(stored["path"])):
        assert run_cli("stop", stored["id"]).status == 0
    assert (Path(stored["path"]) / "stop").exists()
