"""What `heliostat run` and its like do, print and store."""

from __future__ import annotations

from pathlib import Path

from support import toy_tasks
from support.toy_tasks import HERE, WALK

import heliostat as hs
from heliostat.system import device


def test_run_prints_the_headline_and_how_to_open_it(type_in, store, claimed):
    said = type_in("run", WALK, "--chains", "3", *HERE)
    run = hs.open(said.out.split()[1].rstrip(":"))
    assert said.status == 0 and run.status == "complete" and run.steps == 40
    assert f"x = {run.headline['x']}" in said.out
    assert f'hs.open("{run.id}", store="{store}")' in said.out
    assert f"heliostat plot {run.id}" in said.out
    assert "40" in said.err and claimed == [(device.cores()[:1], 0)]


def test_json_is_one_object_and_nothing_else(type_in, store):
    said = type_in("run", WALK, *HERE, "--json", "--seed", "3", "--steps", "20")
    found, run = said.object, hs.open(said.object["id"])
    assert (found["status"], found["steps"], said.status) == ("complete", 20, 0)
    assert found["path"] == str(store / "walk" / run.id)
    assert found["headline"]["x"] == run.headline["x"]._asdict()
    assert run.spec.identity["seed"] == 3


def test_options_may_stand_before_the_task(type_in):
    said = type_in("run", "--json", "--dry-run", "vmc", "--molecule", "He")
    assert said.object["fields"]["molecule"].startswith("He")


def test_what_is_no_number_is_null_in_json(type_in, monkeypatch):
    monkeypatch.setattr(
        toy_tasks.Walk, "headline", lambda self, rows: {"x": hs.Estimate(1.0)}
    )
    said = type_in("run", WALK, *HERE, "--json", "--steps", "10")
    assert said.object["headline"]["x"]["error"] is None
    listed = type_in("runs", "--json").object["runs"]
    assert listed[0]["x"] == 1.0 and listed[0]["x_error"] is None


def test_what_a_task_prints_is_no_answer(type_in, monkeypatch):
    monkeypatch.setattr(toy_tasks.Walk, "prepare", lambda self: print("chatter"))
    said = type_in("run", WALK, *HERE, "--json", "--steps", "10")
    assert said.object["steps"] == 10 and "chatter" in said.err


def test_dry_run_stores_nothing(type_in, store):
    said = type_in("run", WALK, "--sigma", "2", "--dry-run", "--json")
    found = said.object
    assert found["fields"] == {"sigma": 2.0, "chains": 5}
    assert (found["steps"], found["stored_steps"], found["status"]) == (40, 0, "new")
    assert not store.exists()
    ran = type_in("run", WALK, "--sigma", "2", *HERE, "--steps", "10", "--json").object
    again = type_in("run", WALK, "--sigma", "2", "--dry-run", "--json").object
    assert again["id"] == ran["id"] == found["id"] and again["stored_steps"] == 10
    assert "10 steps stored" in type_in("run", WALK, "--sigma", "2", "--dry-run").out


def test_extend_and_resume_go_on(type_in, stored):
    longer = type_in("extend", stored["id"], "--task", WALK, "--steps", "60", *HERE)
    assert longer.status == 0 and "60 of 60 steps" in longer.out
    said = type_in("resume", stored["id"][:6], "--task", WALK, *HERE, "--json")
    assert said.object["steps"] == 60 and said.object["id"] == stored["id"]


def test_fresh_recomputes_and_compares(type_in, stored):
    assert type_in("run", WALK, *HERE, "--fresh", "--json").object["id"] == stored["id"]


def test_a_task_may_live_in_a_file(type_in, tmp_path):
    file = tmp_path / "a_file_of_its_own.py"
    file.write_text(Path(toy_tasks.__file__).read_text())
    said = type_in("run", f"{file}:Walk", "--steps", "10", *HERE, "--json")
    again = type_in("extend", said.object["id"], "--steps", "20", *HERE)
    assert again.status == 2 and "unknown task 'walk'" in again.error
    words = ("--steps", "20", *HERE, "--task", f"{file}:Walk")
    assert type_in("extend", said.object["id"], *words).status == 0
