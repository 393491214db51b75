"""Options ``--until`` and ``--code``, and fields that hold code."""

from __future__ import annotations

import re
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
    """Install toy tasks, and return the command lines of started drivers."""
    named = {"spreading": FAR, "coded": "support.toy_tasks:Coded"}
    both = {n: registry.EntryPoint(n, v, registry.GROUP) for n, v in named.items()}
    monkeypatch.setattr(registry, "available", lambda: both)
    spawned: list[list[str]] = []
    monkeypatch.setattr(verbs, "spawn", lambda record, words: spawned.append(words))
    return spawned


def test_a_run_reports_whether_its_condition_was_met(run_cli, installed):
    words = ("run", "spreading", *HERE, "--until")
    result = run_cli(*words, UNTIL, "--json").object
    assert result["until"] == {"condition": UNTIL, "met": True, "step": result["steps"]}
    assert result["status"] == "complete" and result["steps"] < 400
    text = run_cli(*words, UNTIL).out
    assert f"{UNTIL} held at step {result['steps']}" in text
    assert f"{result['steps']} of {result['steps']} steps" in text
    assert f"{UNTIL} held at step" in run_cli("show", result["id"]).out
    result = run_cli(*words, "spread > 1e9", "--steps", "60")
    assert result.status == 0 and "60 of 60 steps" in result.out
    assert "spread > 1e9 did not hold by step 60" in result.out
    assert re.search("  extend  heliostat extend .* --steps 120 ", result.out)
    words = ("run", "spreading", "--seed", "1", "--steps", "10")
    result = run_cli(*words, *HERE, "--json")
    assert result.status == 0 and "until" not in result.object


@pytest.mark.slow
def test_an_extension_may_end_early(run_cli, installed):
    result = run_cli("run", "spreading", *HERE, "--steps", "10", "--json").object
    words = (
        "extend",
        result["id"],
        "--steps",
        "400",
        "--until",
        UNTIL,
        *HERE,
        "--json",
    )
    longer = run_cli(*words).object
    assert longer["until"]["met"] and 10 < longer["steps"] < 400


@pytest.mark.parametrize("verb", [("run",), ("start",), ("run", "--dry-run")])
def test_a_condition_on_an_unknown_estimate_is_refused(run_cli, installed, store, verb):
    result = run_cli(*verb, "spreading", "--until", "spred > 1")
    assert result.status == 2 and "did you mean 'spread'?" in result.error
    assert not store.exists()


def test_a_misspelt_goal_of_the_first_line_costs_nothing(run_cli, store):
    words = ("run", "vmc", "--molecule", "He", "--until", "enrgy_error < 1e-3")
    result = run_cli(*words)
    assert result.status == 2 and "did you mean 'energy_error'?" in result.error
    assert not store.exists()


def test_a_dry_run_shows_the_condition_and_the_metric(run_cli, installed, store):
    result = run_cli("run", "spreading", "--dry-run", "--until", UNTIL)
    assert f"  until   {UNTIL}\n" in result.out
    words = ("sweep", "spreading", "--over", "sigma=1,2", "--dry-run")
    words += ("--metric", "spread", "--mode", "max", "--until", UNTIL)
    assert f"  metric  spread, max\n  until   {UNTIL}\n" in run_cli(*words).out
    assert run_cli(*words, "--json").object["until"] == UNTIL and not store.exists()


def test_a_started_driver_gets_condition_and_code(run_cli, installed, file):
    result = run_cli("start", "spreading", "--until", UNTIL, *HERE, "--json").object
    assert result["status"] == "started" and result["until"]["met"] is None
    assert installed[0][-2:] == ["--until", UNTIL]
    run = hs.open(result["id"])
    assert run.until is not None and run.until.condition == UNTIL
    assert run_cli(*installed[0]).status == 0  # the command of the driver
    assert "held at step" in run_cli("start", "spreading", "--until", UNTIL).out
    run_cli("start", "coded", f"--rule={file}:rule", *HERE)
    assert installed[1][-2:] == ["--code", f"{file}:rule"]
    assert run_cli(*installed[1]).status == 0 and len(installed) == 2


def test_code_is_an_option_like_any_other(run_cli, installed, file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    assert "--rule STR" in run_cli("run", "coded", "--help").out
    result = run_cli("run", "coded", "--rule", f"{file}:rule", "--dry-run", "--json")
    assert result.object["fields"]["rule"].startswith("sha256:")
    result = run_cli("run", "coded", "--rule", f"{file}:rulle")
    assert result.status == 2 and "does not define 'rulle'" in result.error


def test_verbs_that_step_need_the_code(run_cli, installed, file):
    run = run_cli("run", "coded", "--rule", f"{file}:rule", *HERE, "--json").object
    words = ("verify", run["id"], *HERE)
    result = run_cli(*words)
    assert result.status == 2 and "give it with --code FILE.py:rule" in result.error
    code = ("--code", f"{file}:rule")
    assert run_cli(*words, *code).status == 0
    more = ("extend", run["id"], "--steps", "20", *HERE)
    assert run_cli(*more).status == 2 and run_cli(*more, *code).status == 0
    picture = file.with_suffix(".png")
    for verb in ("resume", "watch"):
        assert run_cli(verb, run["id"], *code, *HERE[: 2 * (verb == "resume")])
    assert run_cli("plot", run["id"], "-o", picture, *code).status == 0
    file.write_text(TEXT.replace("1", "2"))
    result = run_cli(*words, *code)
    assert result.status == 2 and "is not the code of run" in result.error


def test_inspecting_a_run_does_not_execute_its_code(run_cli, installed, file):
    run = run_cli("run", "coded", "--rule", f"{file}:rule", *HERE, "--json").object
    acted = file.with_suffix(".executed")
    file.write_text(f"open({str(acted)!r}, 'w').close()\n{TEXT}")
    for verb in ("verify", "resume", "extend --steps 20"):
        run_cli(*verb.split(), run["id"], *HERE)
    for words in ("show", "logs", "watch", "runs"):
        run_cli(words, *([run["id"]] if words != "runs" else []))
    run_cli("plot", run["id"], "-o", file.with_suffix(".png"))
    assert not acted.exists()


def test_show_lists_observed_variables(run_cli):
    shown = run_cli("show", WALK).out
    assert shown.index("a row") < shown.index("observed once a stride")
    assert "drift" in shown and "axis" in shown
    assert "observed once a stride" not in run_cli("show", "support.toy_tasks:Slow").out


def test_yaml_may_name_code(run_cli, installed, file):
    settings = file.with_suffix(".yaml")
    settings.write_text(f"rule: {file}:rule\n")
    result = run_cli("run", "coded", "--config", settings, "--dry-run", "--json").object
    expected = config.specify(registry.find_task("coded")(hs.Code(f"{file}:rule")))
    assert Path(result["path"]).name == expected.id
