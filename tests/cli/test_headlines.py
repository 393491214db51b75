"""Headlines that fail: each verb says why."""

from __future__ import annotations

from support.failing_tasks import Divides
from support.toy_tasks import HERE

import heliostat as hs

TASK = "support.failing_tasks:"


def test_a_headline_that_raises_tells_its_reason_and_line(run_cli):
    result = run_cli("run", TASK + "Divides", *HERE)
    line = 'failing_tasks.py:75: return {"x": hs.Estimate(1 / 0)}'
    reason = f"no estimates: ZeroDivisionError: division by zero ({line})"
    assert result.status == 1 and f"  {reason}\n" in result.out
    assert f"headline: {reason}" in result.err and "warm-up" not in result.out
    stored = hs.open(result.out.split()[1].rstrip(":"), task=Divides)
    assert stored.status == "complete" and stored.headline == {}
    assert stored.headline_errors == (reason,) and reason in repr(stored)
    again = run_cli("run", TASK + "Divides", *HERE, "--json")
    assert again.status == 1 and again.object["headline_errors"] == [reason]
    assert reason in run_cli("show", stored.id).out
    assert hs.verify(stored, segments="all", on="here").status == "ACCEPT"


def test_only_a_task_with_a_warmup_is_told_about_it(run_cli):
    none = run_cli("run", TASK + "Silent", *HERE)
    assert none.status == 0 and "silent defines no headline" in none.out
    assert "warm-up" not in none.out
    late = run_cli("run", TASK + "Late", *HERE)
    line = "no estimates: the headline has none for 20 steps; the warm-up has 500"
    assert late.status == 0 and line in late.out


def test_a_sweep_tells_why_a_cell_has_no_estimate(run_cli):
    words = ("sweep", TASK + "Divides", "--over", "sigma=1,2", "--metric", "x")
    result = run_cli(*words, *HERE)
    assert result.status == 1 and "no trial has found a finite 'x' (no" in result.out
    line = "lacks   sigma=2.0: no estimates: ZeroDivisionError: division by zero"
    assert line in result.out
