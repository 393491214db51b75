"""Commands ``run``, ``extend`` and ``resume``: their output and stored runs."""

from __future__ import annotations

from pathlib import Path

from support import toy_tasks
from support.toy_tasks import HERE, WALK

import heliostat as hs
from heliostat.system import device


def test_run_prints_the_headline_and_how_to_open_it(run_cli, store, configured):
    result = run_cli("run", WALK, "--chains", "3", *HERE)
    assert configured[0] == (device.cores()[:1], 0)
    run = hs.open(result.out.split()[1].rstrip(":"))
    assert result.status == 0 and run.status == "complete" and run.steps == 40
    assert f"x = {run.headline['x']}" in result.out
    assert "40" in result.err


def test_json_is_one_object_and_nothing_else(run_cli, store):
    result = run_cli("run", WALK, *HERE, "--json", "--seed", "3", "--steps", "20")
    answer, run = result.object, hs.open(result.object["id"])
    assert (answer["status"], answer["steps"], result.status) == ("complete", 20, 0)
    assert answer["path"] == str(store / "walk" / run.id)
    assert answer["headline"]["x"] == run.headline["x"]._asdict()
    assert run.spec.identity["seed"] == 3


def test_options_may_stand_before_the_task(run_cli):
    result = run_cli("run", "--json", "--dry-run", "vmc", "--molecule", "He")
    assert result.object["fields"]["molecule"].startswith("He")


def test_nan_is_null_in_json(run_cli, monkeypatch):
    monkeypatch.setattr(
        toy_tasks.Walk, "headline", lambda self, rows: {"x": hs.Estimate(1.0)}
    )
    result = run_cli("run", WALK, *HERE, "--json", "--steps", "10")
    assert result.object["headline"]["x"]["error"] is None
    listed = run_cli("runs", "--json").object["runs"]
    assert listed[0]["x"] == 1.0 and listed[0]["x_error"] is None


def test_output_of_a_task_is_not_on_standard_output(run_cli, monkeypatch):
    monkeypatch.setattr(toy_tasks.Walk, "prepare", lambda self: print("chatter"))
    result = run_cli("run", WALK, *HERE, "--json", "--steps", "10")
    assert result.object["steps"] == 10 and "chatter" in result.err


def test_dry_run_stores_nothing(run_cli, store):
    result = run_cli("run", WALK, "--sigma", "2", "--dry-run", "--json")
    answer = result.object
    assert answer["fields"] == {"sigma": 2.0, "chains": 5}
    assert (answer["steps"], answer["stored_steps"], answer["status"]) == (40, 0, "new")
    assert not store.exists()
    ran = run_cli("run", WALK, "--sigma", "2", *HERE, "--steps", "10", "--json").object
    again = run_cli("run", WALK, "--sigma", "2", "--dry-run", "--json").object
    assert again["id"] == ran["id"] == answer["id"] and again["stored_steps"] == 10
    assert "10 steps stored" in run_cli("run", WALK, "--sigma", "2", "--dry-run").out


def test_extend_and_resume_continue(run_cli, stored):
    longer = run_cli("extend", stored["id"], "--task", WALK, "--steps", "60", *HERE)
    assert longer.status == 0 and "60 of 60 steps" in longer.out
    result = run_cli("resume", stored["id"][:6], "--task", WALK, *HERE, "--json")
    assert result.object["steps"] == 60 and result.object["id"] == stored["id"]


def test_fresh_recomputes_and_compares(run_cli, stored):
    assert run_cli("run", WALK, *HERE, "--fresh", "--json").object["id"] == stored["id"]


def test_a_task_may_live_in_a_file(run_cli, tmp_path):
    file = tmp_path / "a_file_of_its_own.py"
    file.write_text(Path(toy_tasks.__file__).read_text())
    result = run_cli("run", f"{file}:Walk", "--steps", "10", *HERE, "--json")
    words = ("--steps", "20", *HERE, "--task", f"{file}:Walk")
    assert run_cli("extend", result.object["id"], *words).status == 0


def test_a_run_starts_from_the_parent_that_is_named(run_cli, store):
    stroll = ("run", toy_tasks.STROLL, *HERE, "--json")
    parent = run_cli(*stroll, "--steps", "20").object["id"]
    child = (*stroll, "--steps", "5", "--seed", "1", "--parent", parent)
    planned = run_cli(*child, "--dry-run").object
    answer = run_cli(*child, "--parent-step", "20").object
    run = hs.open(answer["id"])
    assert planned["id"] == run.id and run.spec.identity["parent"]["run"] == parent
    assert run.state(0) == hs.open(parent).state(20)
    assert "no state of step 3 is kept" in run_cli(*child, "--parent-step", "3").error
    alone = run_cli(*stroll, "--parent-step", "3")
    assert alone.status == 2 and "of which --parent?" in alone.error
