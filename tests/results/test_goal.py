"""Goals: the last step of a run depends on its rows, and on nothing else."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from support import toy_tasks

import heliostat as hs
from heliostat.config.condition import Condition
from heliostat.driver.progress import silent
from heliostat.results.goal import marks

TASK = toy_tasks.Spreading()
UNTIL = "spread > 6 and steps >= 30"


def go(store, until=UNTIL, **options):
    options = {"on": "here", "progress": silent, **options}
    return hs.run(TASK, until=until, store=store, **options)


def digests(run):
    return [run.record.strides(block, 10) for block in range(3)]


def placed(run):
    return [e for e in run.events() if e["event"] == "placed"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without a condition: all rows that one could be judged on."""
    store = tmp_path_factory.mktemp("whole")
    return hs.run(TASK, on="here", store=store, progress=silent)


@pytest.fixture(scope="module")
def end(whole):
    """The first mark where the condition holds, searched in the obvious way."""
    for mark in marks(10, 400):
        spread = float(whole.rows.isel(draw=slice(0, mark)).x.std())
        if spread > 6 and mark >= 30:
            assert 30 < mark < 400
            return mark
    raise AssertionError("the condition never holds")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    return go(tmp_path_factory.mktemp("stopped"))


class Interrupts:
    """Observer that presses Ctrl-C after some commits."""

    follow, on_event = silent.follow, silent.on_event

    def __init__(self, commits):
        self.left = commits

    def on_chunk(self, chunk):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@given(st.integers(1, 500), st.integers(1, 10_000))
@settings(deadline=None)
def test_marks_are_multiples_of_the_stride_a_tenth_apart(stride, length):
    *early, last = marks(stride, length)
    assert last == length and early == sorted(set(early))
    assert all(mark % stride == 0 and mark < length for mark in early)
    for one, following in itertools.pairwise(early):
        assert 10 * following >= 11 * one > 10 * (following - stride)


def test_a_run_ends_at_the_first_mark_where_the_condition_holds(stopped, whole, end):
    assert stopped.status == "complete" and stopped.steps == end
    assert stopped.record.committed.tolist() == [end] * 3
    assert stopped.until == hs_outcome(True, end)
    assert stopped.record.attrs["steps"] == end
    assert digests(stopped) == [d[: end // 10] for d in digests(whole)]
    tree = xr.open_datatree(
        stopped.path / "record.zarr", engine="zarr", consolidated=False
    )
    assert tree["rows"].sizes["draw"] == end
    assert hs.verify(stopped, segments="all", on="here").status == "ACCEPT"


def hs_outcome(met, step):
    from heliostat.results.goal import GoalOutcome

    return GoalOutcome(UNTIL, met, step)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_matter(workers, stopped, tmp_path, fleet_ray):
    run = go(tmp_path, on="local", workers=workers, gpus=0)
    assert run.until == stopped.until and digests(run) == digests(stopped)
    assert len(placed(run)) == workers  # the same teams all the way


@pytest.mark.slow
@pytest.mark.parametrize("commits", [1, 5, 12])
def test_an_interrupted_run_resumes_to_the_same_end(commits, stopped, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, progress=Interrupts(commits))
    (run_id,) = hs.runs(store=tmp_path).id
    begun = hs.open(run_id, store=tmp_path, task=toy_tasks.Spreading)
    assert begun.status == "interrupted" and begun.until == hs_outcome(None, None)
    run = hs.resume(begun, on="here", progress=silent)
    assert run.until == stopped.until and digests(run) == digests(stopped)


@pytest.mark.slow
def test_a_driver_killed_before_the_final_status_is_completed(stopped, tmp_path):
    run = go(tmp_path)
    about = {"condition": UNTIL, "met": None, "step": None}
    run.record.update(status="running", steps=400, until=about)
    again = hs.resume(run, on="here", progress=silent)
    assert again.status == "complete" and again.until == stopped.until
    assert again.record.attrs["steps"] == stopped.steps


def test_what_is_stored_is_judged_first(end, tmp_path):
    longer = hs.run(TASK, on="here", store=tmp_path, progress=silent)
    before = longer.events(), longer.record.attrs
    view = go(tmp_path)
    assert view.until == hs_outcome(True, end) and view.steps == end
    assert view.rows.sizes["draw"] == end and view.observed.sizes["draw"] == end // 10
    assert (view.events(), view.record.attrs) == before
    assert hs.open(longer.id, store=tmp_path).until is None


def test_a_repeated_request_computes_nothing(stopped):
    before = stopped.events()
    store = stopped.path.parents[1]
    assert go(store).until == stopped.until and stopped.events() == before
    assert go(store, until="steps >= 20").steps == 20


def test_a_run_that_does_not_come_there_ends_at_its_length(whole, tmp_path):
    run = go(tmp_path, until="spread > 1e9", steps=35)
    assert run.until is not None and (run.until.met, run.until.step) == (False, 35)
    assert "did not hold by step 35" in str(run.until)
    longer = hs.extend(run, steps=400, on="here", progress=silent)
    assert digests(longer) == digests(whole) and longer.until is None


@pytest.mark.slow
def test_an_extension_may_have_a_condition_of_its_own(stopped, whole, end, tmp_path):
    run = go(tmp_path)
    longer = hs.extend(
        run, steps=400, until=f"steps > {end}", on="here", progress=silent
    )
    assert end < longer.steps < 400 and longer.until is not None
    assert digests(longer) == [d[: longer.steps // 10] for d in digests(whole)]


def test_a_headline_that_is_not_ready_has_found_nothing(tmp_path, monkeypatch):
    real = toy_tasks.Spreading.headline

    def late(self, rows):
        if rows.sizes["draw"] < 50:
            raise ValueError("too few rows")
        return real(self, rows)

    monkeypatch.setattr(toy_tasks.Spreading, "headline", late)
    assert go(tmp_path, until="spread > 0").steps >= 50


def test_a_name_that_the_first_headline_lacks_is_told_at_once(tmp_path):
    """Of a task that does not list its names: a later headline may have it."""
    events = []

    class Recorder:
        follow, on_chunk = silent.follow, silent.on_chunk

        def on_event(self, event, details):
            events.append((event, details))

    options = {"store": tmp_path, "on": "here", "progress": Recorder()}
    run = hs.run(toy_tasks.Stroll(), until="x_eror < 1e-9", **options)
    line = "x_eror < 1e-9: the first headline of this run has no 'x_eror'"
    reason = f"{line}; did you mean 'x_error'?"
    assert ("until", {"reason": reason}) in events and run.steps == 20
    doubts = [e for e in run.events() if e["event"] == "until"]
    commits = [e for e in run.events() if e["event"] == "committed"]
    assert [e["reason"] for e in doubts] == [reason]
    assert doubts[0]["time"] <= commits[1]["time"]
    events.clear()
    hs.run(toy_tasks.Stroll(sigma=2.0), until="x_error < 1e-9", **options)
    assert events == []


@pytest.mark.parametrize(
    ("until", "line"),
    [
        ("spred > 1", "has no 'spred'; did you mean 'spread'?"),
        ("rhat < 1", "has no 'rhat'; it has spread, spread_error, steps"),
        ("spread >", "not a condition"),
        ("spread", "expected comparisons"),
        ("spread > 'wide'", "expected numbers, got 'wide'"),
        ("__import__('os').system('true') > 1", "is not allowed"),
        ("(" * 300 + "spread > 1" + ")" * 300, "not a condition"),
        ("spread > 1\n\n or", "not a condition"),
    ],
)
def test_what_is_no_condition_is_refused_and_stores_nothing(until, line, tmp_path):
    with pytest.raises(hs.RequestError, match="until '") as caught:
        go(tmp_path, until=until)
    assert line in str(caught.value) and "\n" not in str(caught.value)
    assert not any(tmp_path.rglob("spec.json"))


def test_a_task_that_does_not_say_what_it_finds_refuses_no_name(tmp_path):
    run = hs.run(
        toy_tasks.Walk(),
        until="no_such_name > 1",
        on="here",
        steps=20,
        store=tmp_path,
        progress=silent,
    )
    assert run.steps == 20 and run.until is not None and run.until.met is False


@dataclass(frozen=True)
class Mute(toy_tasks.Walk):
    """A task that defines no headline."""

    headline = hs.Task.headline


def test_without_a_headline_every_name_is_refused_before_the_first_step(tmp_path):
    options = {"on": "here", "store": tmp_path, "progress": silent}
    with pytest.raises(hs.RequestError, match="has no 'no_such_name'; it has steps"):
        hs.run(Mute(), until="no_such_name > 1", steps=20, **options)
    with pytest.raises(hs.RequestError, match="metric 'los': mute defines no headline"):
        hs.sweep(Mute(), over={"seed": [0, 1]}, metric="los", **options)
    assert not any(tmp_path.rglob("spec.json"))


numbers = st.sampled_from(["x", "y", "1", "-2.5", "0"])
comparisons = st.builds(
    lambda *parts: " ".join(parts),
    numbers,
    st.sampled_from(["<", "<=", "==", "!=", ">", ">="]),
    numbers,
    st.sampled_from(["", "< x", "!= y"]),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)


@given(conditions, *[st.sampled_from([-2.5, 0.0, 1.0, 3.0])] * 2)
@settings(max_examples=200, deadline=None)
def test_conditions_mean_what_python_says(text, x, y):
    values = {"x": x, "y": y}
    holds = Condition(text, "until").evaluate(values.__getitem__)
    assert holds == eval(text, {}, values)


@given(comparisons.filter(lambda text: "x" in text))
@settings(deadline=None)
def test_what_is_no_number_compares_false(text):
    values = {"x": math.nan, "y": 1.0}
    assert not Condition(text, "until").evaluate(values.__getitem__)
