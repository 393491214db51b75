"""Command ``heliostat sweep``."""

from __future__ import annotations

import pytest
from support import failing_tasks, toy_tasks
from support.toy_tasks import HERE, STROLL

OVER = ("--over", "sigma=0.5,1.0", "seed=0,1")


def test_a_sweep_reports_its_cells(run_cli, store):
    command = ("sweep", STROLL, *OVER, *HERE, "--json", "--store", store)
    answer = run_cli(*command).object
    assert (answer["computed"], answer["reused"], answer["status"]) == (
        4,
        0,
        "complete",
    )
    assert answer["headline"]["x"]["units"] == "bohr" and len(answer["cells"]) == 4
    assert {cell["state"] for cell in answer["cells"]} == {"done"}
    again = run_cli(*command).object
    assert (again["computed"], again["reused"]) == (0, 4)
    assert again["headline"] == answer["headline"]


def test_dry_run_stores_nothing(run_cli, store):
    command = ("sweep", f"{toy_tasks.__file__}:Tuned", *OVER, *HERE, "--store", store)
    answer = run_cli(*command, "--dry-run", "--json").object
    assert (answer["computed"], answer["reused"], answer["states"]) == (
        4,
        0,
        {"new": 4},
    )
    assert [len(pack) for pack in answer["packs"]] == [4] and not store.exists()
    result = run_cli(*command, "--dry-run")
    assert result.status == 0 and not result.err
    assert (
        "4 would be computed, 0 reused" in result.out and "packs   of 4" in result.out
    )
    run_cli(*command)
    again = run_cli(*command, "--dry-run", "--json").object
    assert (again["computed"], again["reused"], again["packs"]) == (0, 4, [])
    assert (again["id"], again["status"]) == (answer["id"], "complete")


def test_a_sweep_is_deleted(run_cli, store):
    command = ("sweep", STROLL, *OVER, *HERE, "--store", store, "--json")
    first = run_cli(*command).object
    options = ("--store", store)
    run = first["cells"][0]["run"]
    assert "is a run" in run_cli("rm", run, "--runs", "--yes", *options).error
    assert f"would delete {store}" in run_cli("rm", run, "--dry-run", *options).out
    assert "needs --yes" in run_cli("rm", first["id"], *options).error
    result = run_cli("rm", first["id"][:8], "--yes", *options)
    assert result.status == 0 and result.out == f"deleted {first['path']}\n"
    assert "no run" in run_cli("rm", first["id"], "--yes", *options).error
    assert run_cli(*command).object["reused"] == 4
    dry = run_cli("rm", first["id"], "--runs", "--dry-run", *options)
    assert dry.status == 0 and dry.out.count("would delete ") == 5
    result = run_cli("rm", first["id"], "--runs", "--yes", *options)
    assert result.out == dry.out.replace("would delete", "deleted")
    assert run_cli("runs", "--json", *options).object == {"runs": []}


def test_axes_may_be_given_separately_beside_fields(run_cli, store):
    over = ("--over", "sigma=0.5", "--over", "seed=0,1")
    answer = run_cli(
        "sweep", STROLL, "--chains", "3", *over, "--steps", "10", *HERE, "--json"
    ).object
    assert [cell["sigma"] for cell in answer["cells"]] == [0.5, 0.5]
    assert [cell["steps"] for cell in answer["cells"]] == [10, 10]


def test_the_best_comes_first(run_cli, store):
    """The best trial is chosen by the mean over its seeds."""
    more = ("--metric", "x", "--mode", "max", "--store", store)
    result = run_cli("sweep", STROLL, *OVER, *HERE, *more)
    assert result.status == 0 and "4 done; 4 computed, 0 reused" in result.out
    answer = run_cli("sweep", STROLL, *OVER, *HERE, *more, "--json").object
    means = {}
    for cell in answer["cells"]:
        means[cell["sigma"]] = means.get(cell["sigma"], 0) + cell["x"] / 2
    best = max(means, key=means.__getitem__)
    runs = [cell["run"] for cell in answer["cells"] if cell["sigma"] == best]
    assert answer["best"] == {"values": {"sigma": best}, "runs": runs}
    assert answer["headline"]["x"]["value"] == pytest.approx(means[best])
    assert answer["headline"]["x"]["source"] == "mean of 2 seeds"
    lines = result.out.splitlines()
    assert "x, mean over seeds" in lines[1] and runs[0] in lines[2]
    (line,) = [line for line in lines if line.startswith("  best")]
    assert line.startswith(f"  best    sigma={best}  x ") and "of 2 seeds" in line


FAILING = f"{failing_tasks.__file__}:Midway"


@pytest.mark.parametrize("search", [(), ("--search", "tpe", "--trials", "2")])
@pytest.mark.parametrize("bad, state", [("0", "failed"), ("9", "done")])
def test_all_cells_are_shown_if_none_has_a_number(run_cli, store, search, bad, state):
    """All cells fail, or all are done with a loss that is not a number."""
    over = ("--over", "a=3.0..4.0" if search else "a=3.0,4.0", "--unknown", "2")
    words = ("sweep", FAILING, *over, "--bad", bad, "--metric", "loss", *search)
    result = run_cli(*words, *HERE, "--store", store)
    assert result.status == (1 if state == "failed" else 0)
    assert f"2 {state}" in result.out and result.out.count(f" {state} ") >= 2
    assert "  best    none: no trial has found a finite 'loss'\n" in result.out
    answer = run_cli(*words, *HERE, "--store", store, "--json")
    assert answer.status == result.status
    assert answer.object["best"] is None and answer.object["headline"] == {}
    assert {cell["state"] for cell in answer.object["cells"]} == {state}


def test_an_unknown_metric_is_reported_with_the_known_ones(run_cli, store):
    result = run_cli("sweep", STROLL, *OVER, *HERE, "--metric", "y", "--store", store)
    assert (
        result.status == 2 and "metric 'y': the headline of the first run" in result.err
    )
    assert result.err.splitlines()[-1].endswith("has none of that name; it has x")


def test_retries_are_reported(run_cli, store, tmp_path):
    task = f"{failing_tasks.__file__}:Flaky"
    words = ("sweep", task, "--over", "fails=0,2", "--tries", tmp_path / "tries")
    words = (*words, "--retries", "3", *HERE, "--store", store)
    result = run_cli(*words)
    assert (
        result.status == 0 and "2 done; 2 computed, 0 reused, 1 retried" in result.out
    )
    assert "  retried fails=2: try 1 failed; try 2 failed\n" in result.out
    answer = run_cli(*words, "--json").object
    assert answer["retried"] == 1 and answer["reused"] == 2
    assert [cell["retries"] for cell in answer["cells"]] == [0, 2]


def test_a_sweep_is_plotted(run_cli, store, tmp_path):
    answer = run_cli("sweep", STROLL, *OVER, *HERE, "--json", "--store", store).object
    words = (answer["id"][:6], "x", "--task", STROLL, "--store", store)
    result = run_cli("plot", *words, "-o", tmp_path / "p.png")
    assert result.status == 0 and (tmp_path / "p.png").stat().st_size > 5000


def test_a_stored_sweep_is_shown(run_cli, store):
    words = ("--over", "outer_lr=0.01,0.05", "--steps", "20", *HERE, "--store", store)
    quick = ("bilevel", "--preset", "quick")
    answer = run_cli("sweep", *quick, *words, "--json").object
    result = run_cli("show", answer["id"][:7], "--store", store)
    assert result.status == 0 and result.out.count(" done ") == 2
    assert f"sweep {answer['id']}: 2 done; 0 computed, 2 reused" in result.out


@pytest.mark.slow
def test_hypergradient_descends(run_cli, store):
    """It descends from the middle of the range to a smaller outer loss."""
    words = ("--over", "outer_lr=0.001..0.1:log", "--search", "hypergradient")
    more = ("--trials", "3", "--steps", "20", *HERE, "--store", store, "--json")
    answer = run_cli("sweep", "bilevel", "--preset", "quick", *words, *more).object
    rates = [cell["outer_lr"] for cell in answer["cells"]]
    assert rates[0] == 0.01 and rates[0] < rates[1] < rates[2] == rates[-1] == 0.1
    losses = [cell["validation"] for cell in answer["cells"]]
    assert losses[0] > losses[1] > answer["headline"]["validation"]["value"]
    assert answer["best"]["values"] == {"outer_lr": 0.1}


def test_failed_cells_are_reported(run_cli):
    task = f"{toy_tasks.__file__}:Raises"
    result = run_cli("sweep", task, "--over", "at=3,99", *HERE, "--json")
    assert result.status == 1 and result.object["status"] == "failed"
    assert result.object["states"] == {"failed": 1, "done": 1}
    assert [cell["steps"] for cell in result.object["cells"]] == [2, 20]
    failed = result.object["cells"][0]["run"]
    text = run_cli("sweep", task, "--over", "at=3,99", *HERE).out
    assert f"  logs    heliostat logs {failed} --full" in text


@pytest.mark.parametrize(
    "words, line",
    [
        (("--over", "sigm=1"), "no field 'sigm'; did you mean 'sigma'"),
        (("--over", "sigma=big"), "sigma='big': expected a float"),
        (("--over", "sigma="), "sigma: expected at least one value"),
        (("--over", "sigma"), "expected FIELD=VALUE,VALUE"),
        (("--over", "sigma=1", "--search", "tpe", "--trials", "3"), "needs a metric"),
        ((), "over"),
    ],
)
def test_a_mistake_gets_one_line(run_cli, store, words, line):
    result = run_cli("sweep", STROLL, *words, *HERE, "--store", store)
    assert result.status == 2 and line in result.error and result.out == ""
    assert not store.exists()
