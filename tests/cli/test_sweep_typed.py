"""``heliostat sweep`` as it is typed."""

from __future__ import annotations

import pytest
from support import failing_tasks, toy_tasks
from support.toy_tasks import HERE, STROLL

OVER = ("--over", "sigma=0.5,1.0", "seed=0,1")


def test_a_sweep_says_what_it_computed(type_in, store):
    asked = ("sweep", STROLL, *OVER, *HERE, "--json", "--store", store)
    found = type_in(*asked).object
    assert (found["computed"], found["reused"], found["status"]) == (4, 0, "complete")
    assert found["headline"]["x"]["units"] == "bohr" and len(found["cells"]) == 4
    assert {cell["state"] for cell in found["cells"]} == {"done"}
    again = type_in(*asked).object
    assert (again["computed"], again["reused"]) == (0, 4)
    assert again["headline"] == found["headline"]


def test_dry_run_stores_nothing(type_in, store):
    asked = ("sweep", f"{toy_tasks.__file__}:Tuned", *OVER, *HERE, "--store", store)
    found = type_in(*asked, "--dry-run", "--json").object
    assert (found["computed"], found["reused"], found["states"]) == (4, 0, {"new": 4})
    assert [len(pack) for pack in found["packs"]] == [4] and not store.exists()
    said = type_in(*asked, "--dry-run")
    assert said.status == 0 and not said.err
    assert "4 would be computed, 0 reused" in said.out and "packs   of 4" in said.out
    type_in(*asked)
    again = type_in(*asked, "--dry-run", "--json").object
    assert (again["computed"], again["reused"], again["packs"]) == (0, 4, [])
    assert (again["id"], again["status"]) == (found["id"], "complete")


def test_a_sweep_is_deleted(type_in, store):
    asked = ("sweep", STROLL, *OVER, *HERE, "--store", store, "--json")
    first = type_in(*asked).object
    there = ("--store", store)
    run = first["cells"][0]["run"]
    assert "is a run" in type_in("rm", run, "--runs", "--yes", *there).error
    assert f"would delete {store}" in type_in("rm", run, "--dry-run", *there).out
    assert "wants --yes" in type_in("rm", first["id"], *there).error
    said = type_in("rm", first["id"][:8], "--yes", *there)
    assert said.status == 0 and said.out == f"deleted {first['path']}\n"
    assert "no run" in type_in("rm", first["id"], "--yes", *there).error
    assert type_in(*asked).object["reused"] == 4
    dry = type_in("rm", first["id"], "--runs", "--dry-run", *there)
    assert dry.status == 0 and dry.out.count("would delete ") == 5
    said = type_in("rm", first["id"], "--runs", "--yes", *there)
    assert said.out == dry.out.replace("would delete", "deleted")
    assert type_in("runs", "--json", *there).object == {"runs": []}


def test_axes_may_come_apart_and_fields_beside_them(type_in, store):
    over = ("--over", "sigma=0.5", "--over", "seed=0,1")
    found = type_in(
        "sweep", STROLL, "--chains", "3", *over, "--steps", "10", *HERE, "--json"
    ).object
    assert [cell["sigma"] for cell in found["cells"]] == [0.5, 0.5]
    assert [cell["steps"] for cell in found["cells"]] == [10, 10]


def test_the_best_comes_first(type_in, store):
    """By the mean over its seeds, and not by the luckiest of them."""
    more = ("--metric", "x", "--mode", "max", "--store", store)
    said = type_in("sweep", STROLL, *OVER, *HERE, *more)
    assert said.status == 0 and "4 done; 4 computed, 0 reused" in said.out
    found = type_in("sweep", STROLL, *OVER, *HERE, *more, "--json").object
    means = {}
    for cell in found["cells"]:
        means[cell["sigma"]] = means.get(cell["sigma"], 0) + cell["x"] / 2
    best = max(means, key=means.__getitem__)
    runs = [cell["run"] for cell in found["cells"] if cell["sigma"] == best]
    assert found["best"] == {"values": {"sigma": best}, "runs": runs}
    assert found["headline"]["x"]["value"] == pytest.approx(means[best])
    assert found["headline"]["x"]["source"] == "mean of 2 seeds"
    lines = said.out.splitlines()
    assert "x, mean over seeds" in lines[1] and runs[0] in lines[2]
    (line,) = [line for line in lines if line.startswith("  best")]
    assert line.startswith(f"  best    sigma={best}  x ") and "of 2 seeds" in line


FAILING = f"{failing_tasks.__file__}:Midway"


@pytest.mark.parametrize("search", [(), ("--search", "tpe", "--trials", "2")])
@pytest.mark.parametrize("bad, state", [("0", "failed"), ("9", "done")])
def test_where_no_cell_has_a_number_all_is_shown(type_in, store, search, bad, state):
    """All fail; or all are done, but what they found is no number."""
    over = ("--over", "a=3.0..4.0" if search else "a=3.0,4.0", "--unknown", "2")
    words = ("sweep", FAILING, *over, "--bad", bad, "--metric", "loss", *search)
    said = type_in(*words, *HERE, "--store", store)
    assert said.status == (1 if state == "failed" else 0)
    assert f"2 {state}" in said.out and said.out.count(f" {state} ") >= 2
    assert "  best    none: no trial has found a finite 'loss'\n" in said.out
    found = type_in(*words, *HERE, "--store", store, "--json")
    assert found.status == said.status
    assert found.object["best"] is None and found.object["headline"] == {}
    assert {cell["state"] for cell in found.object["cells"]} == {state}


def test_a_number_that_no_cell_has_is_told_after_what_they_have(type_in, store):
    said = type_in("sweep", STROLL, *OVER, *HERE, "--metric", "y", "--store", store)
    assert said.status == 0 and "4 done" in said.out
    assert "  best    none: no cell has found 'y'; there are x\n" in said.out


def test_what_was_tried_again_is_told(type_in, store, tmp_path):
    task = f"{failing_tasks.__file__}:Flaky"
    words = ("sweep", task, "--over", "fails=0,2", "--tries", tmp_path / "tries")
    words = (*words, "--retries", "3", *HERE, "--store", store)
    said = type_in(*words)
    assert said.status == 0 and "2 done; 2 computed, 0 reused, 1 retried" in said.out
    assert "  retried fails=2: try 1 failed; try 2 failed\n" in said.out
    found = type_in(*words, "--json").object
    assert found["retried"] == 1 and found["reused"] == 2
    assert [cell["retries"] for cell in found["cells"]] == [0, 2]


def test_a_sweep_is_drawn(type_in, store, tmp_path):
    found = type_in("sweep", STROLL, *OVER, *HERE, "--json", "--store", store).object
    words = (found["id"][:6], "x", "--task", STROLL, "--store", store)
    said = type_in("plot", *words, "-o", tmp_path / "p.png")
    assert said.status == 0 and (tmp_path / "p.png").stat().st_size > 5000


def test_a_stored_sweep_is_shown(type_in, store):
    words = ("--over", "outer_lr=0.01,0.05", "--steps", "20", *HERE, "--store", store)
    quick = ("bilevel", "--preset", "quick")
    found = type_in("sweep", *quick, *words, "--json").object
    said = type_in("show", found["id"][:7], "--store", store)
    assert said.status == 0 and said.out.count(" done ") == 2
    assert f"sweep {found['id']}: 2 done; 0 computed, 2 reused" in said.out


def test_a_sweep_goes_downhill(type_in, store):
    """From the middle of the range to where the outer loss is less."""
    words = ("--over", "outer_lr=0.001..0.1:log", "--search", "hypergradient")
    more = ("--trials", "3", "--steps", "20", *HERE, "--store", store, "--json")
    found = type_in("sweep", "bilevel", "--preset", "quick", *words, *more).object
    rates = [cell["outer_lr"] for cell in found["cells"]]
    assert rates[0] == 0.01 and rates[0] < rates[1] < rates[2] == rates[-1] == 0.1
    losses = [cell["validation"] for cell in found["cells"]]
    assert losses[0] > losses[1] > found["headline"]["validation"]["value"]
    assert found["best"]["values"] == {"outer_lr": 0.1}


def test_cells_that_fail_are_told(type_in):
    task = f"{toy_tasks.__file__}:Raises"
    said = type_in("sweep", task, "--over", "at=3,99", *HERE, "--json")
    assert said.status == 1 and said.object["status"] == "failed"
    assert said.object["states"] == {"failed": 1, "done": 1}
    assert [cell["steps"] for cell in said.object["cells"]] == [2, 20]


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
def test_a_mistake_gets_one_line(type_in, store, words, line):
    said = type_in("sweep", STROLL, *words, *HERE, "--store", store)
    assert said.status == 2 and line in said.error and said.out == ""
    assert not store.exists()
