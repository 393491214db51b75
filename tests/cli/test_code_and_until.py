"""Runs to a precision, and code of users, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.toy_tasks import HERE, WALK

import heliostat as hs
from heliostat import config
from heliostat.config import registry
from heliostat.driver import verbs

FAR = "support.toy_tasks:Spreading"
UNTIL = "spread > 4"
TEXT = "def rule(x):\n    return x + 1\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TEXT)
    return path


@pytest.fixture
def installed(monkeypatch):
    """The toys as if they were installed; the drivers that were started."""
    named = {"spreading": FAR, "coded": "support.toy_tasks:Coded"}
    both = {n: registry.EntryPoint(n, v, registry.GROUP) for n, v in named.items()}
    monkeypatch.setattr(registry, "available", lambda: both)
    spawned: list[list[str]] = []
    monkeypatch.setattr(verbs, "spawn", lambda record, words: spawned.append(words))
    return spawned


def test_a_run_says_whether_it_came_there(type_in, installed):
    words = ("run", "spreading", *HERE, "--until")
    said = type_in(*words, UNTIL, "--json").object
    assert said["until"] == {"condition": UNTIL, "met": True, "step": said["steps"]}
    assert said["status"] == "complete" and said["steps"] < 400
    text = type_in(*words, UNTIL).out
    assert f"{UNTIL} held at step {said['steps']}" in text
    assert f"{said['steps']} of {said['steps']} steps" in text
    assert f"{UNTIL} held at step" in type_in("show", said["id"]).out
    said = type_in(*words, "spread > 1e9", "--steps", "400")
    assert said.status == 0 and "400 of 400 steps" in said.out
    assert "spread > 1e9 did not hold by step 400; `heliostat extend`" in said.out
    words = ("run", "spreading", "--seed", "1", "--steps", "10")
    said = type_in(*words, *HERE, "--json")
    assert said.status == 0 and "until" not in said.object


def test_an_extension_may_end_early_too(type_in, installed):
    said = type_in("run", "spreading", *HERE, "--steps", "10", "--json").object
    words = ("extend", said["id"], "--steps", "400", "--until", UNTIL, *HERE, "--json")
    longer = type_in(*words).object
    assert longer["until"]["met"] and 10 < longer["steps"] < 400


@pytest.mark.parametrize("verb", [("run",), ("start",), ("run", "--dry-run")])
def test_a_condition_on_what_is_not_found_is_refused(type_in, installed, store, verb):
    said = type_in(*verb, "spreading", "--until", "spred > 1")
    assert said.status == 2 and "did you mean 'spread'?" in said.error
    assert not store.exists()


def test_a_driver_of_its_own_is_told_condition_and_code(type_in, installed, file):
    said = type_in("start", "spreading", "--until", UNTIL, *HERE, "--json").object
    assert said["status"] == "started" and said["until"]["met"] is None
    assert installed[0][-2:] == ["--until", UNTIL]
    run = hs.open(said["id"])
    assert run.until is not None and run.until.condition == UNTIL
    assert type_in(*installed[0]).status == 0  # what the driver does
    assert "held at step" in type_in("start", "spreading", "--until", UNTIL).out
    type_in("start", "coded", f"--rule={file}:rule", *HERE)
    assert installed[1][-2:] == ["--code", f"{file}:rule"]
    assert type_in(*installed[1]).status == 0 and len(installed) == 2


def test_code_is_an_option_like_any_other(type_in, installed, file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    assert "--rule STR" in type_in("run", "coded", "--help").out
    said = type_in("run", "coded", "--rule", f"{file}:rule", "--dry-run", "--json")
    assert said.object["fields"]["rule"].startswith("sha256:")
    said = type_in("run", "coded", "--rule", f"{file}:rulle")
    assert said.status == 2 and "does not define 'rulle'" in said.error


def test_the_verbs_that_step_take_the_code(type_in, installed, file):
    made = type_in("run", "coded", "--rule", f"{file}:rule", *HERE, "--json").object
    words = ("verify", made["id"], *HERE)
    said = type_in(*words)
    assert said.status == 2 and "give it with --code FILE.py:rule" in said.error
    code = ("--code", f"{file}:rule")
    assert type_in(*words, *code).status == 0
    more = ("extend", made["id"], "--steps", "20", *HERE)
    assert type_in(*more).status == 2 and type_in(*more, *code).status == 0
    picture = file.with_suffix(".png")
    for verb in ("resume", "watch"):
        assert type_in(verb, made["id"], *code, *HERE[: 2 * (verb == "resume")])
    assert type_in("plot", made["id"], "-o", picture, *code).status == 0
    file.write_text(TEXT.replace("1", "2"))
    said = type_in(*words, *code)
    assert said.status == 2 and "is not the code of run" in said.error


def test_looking_at_a_run_does_not_execute_its_code(type_in, installed, file):
    made = type_in("run", "coded", "--rule", f"{file}:rule", *HERE, "--json").object
    acted = file.with_suffix(".executed")
    file.write_text(f"open({str(acted)!r}, 'w').close()\n{TEXT}")
    for verb in ("verify", "resume", "extend --steps 20"):
        type_in(*verb.split(), made["id"], *HERE)
    for words in ("show", "logs", "watch", "runs"):
        type_in(words, *([made["id"]] if words != "runs" else []))
    type_in("plot", made["id"], "-o", file.with_suffix(".png"))
    assert not acted.exists()


def test_show_lists_what_is_observed(type_in):
    shown = type_in("show", WALK).out
    assert shown.index("a row") < shown.index("observed once a stride")
    assert "drift" in shown and "axis" in shown
    assert "observed once a stride" not in type_in("show", "support.toy_tasks:Slow").out


def test_yaml_may_name_code(type_in, installed, file):
    settings = file.with_suffix(".yaml")
    settings.write_text(f"rule: {file}:rule\n")
    said = type_in("run", "coded", "--config", settings, "--dry-run", "--json").object
    expected = config.specify(registry.find_task("coded")(hs.Code(f"{file}:rule")))
    assert Path(said["path"]).name == expected.id
