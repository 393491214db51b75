"""Stores of earlier code: ids, digests and formats stay, and every verb works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile

import jax
import pytest
from gold import runs
from gold.runs import ARCHIVE, BILEVEL, CODE, EXPECTED, HERE, links

import heliostat as hs
from heliostat.system.environment import fingerprint

GOLD = json.loads(EXPECTED.read_text())
NAMED, RUNS, SWEEPS = GOLD["named"], GOLD["runs"], GOLD["sweeps"]
TASKS = "bilevel discrete learn preferences provenance sycophancy vmc"
ANEW = "grid"
"""Runs and sweeps that a test of their own computes anew, in seconds."""

COSTLY = {*"code discrete file learn preferences stopped vmc x64".split()}
"""Runs whose programs take long to compile."""

PACKED = next(iter(SWEEPS["grid"]["cells"]))
FIRST = {name: next(iter(SWEEPS[name]["cells"])) for name in SWEEPS}
"""A cell of each sweep."""


@pytest.fixture(scope="module", autouse=True)
def _optimised():
    """Compile as users do: the store holds what such programs computed."""
    unoptimised = "jax_disable_most_optimizations"
    before = jax.config.read(unoptimised)

    def set_to(value):
        jax.config.update(unoptimised, value)
        jax.clear_caches()
        fingerprint.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(unoptimised.upper(), "0")
        patch.delenv("XLA_FLAGS", raising=False)
        set_to(False)
        yield
    set_to(before)


@pytest.fixture(autouse=True)
def _beside_the_files(monkeypatch):
    """Fields name files in this folder."""
    monkeypatch.chdir(HERE)


def unpacked(folder):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The gold store: to look at, not to touch."""
    return unpacked(tmp_path_factory.mktemp("gold"))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A copy that everything is asked of again."""
    return unpacked(tmp_path_factory.mktemp("asked"))


@pytest.fixture
def own(tmp_path):
    """A copy of the gold store, to go on with."""
    return unpacked(tmp_path / "own")


def opened(id_, store):
    """A stored run, with its code where that is a field."""
    code = CODE if id_ == NAMED["code"] else ()
    return hs.open(id_, store=store, code=code)


def accepted(id_, store, **options):
    found = hs.verify(opened(id_, store), **options)
    assert found.status == "ACCEPT", str(found)


def reproduced(run, store):
    """Bit for bit in an equal environment; in another one, within the tolerance."""
    stored = RUNS[run.id]
    if runs.environments(run) == stored["environments"]:
        assert links(run) == stored["links"]
    else:
        accepted(run.id, store, segments=2, on="here")


def test_the_store_has_every_task_and_every_run_and_sweep_of_the_table():
    assert {run["task"] for run in RUNS.values()} == set(TASKS.split())
    assert set(NAMED) == set(runs.cases()) and set(SWEEPS) == set(runs.sweeps())
    cells = [id_ for sweep in SWEEPS.values() for id_ in sweep["cells"]]
    assert set(RUNS) == {*NAMED.values(), *cells}
    states = {state for sweep in SWEEPS.values() for state in sweep["states"]}
    assert states == {"done", "pruned"}


def test_all_runs_are_listed_and_open_with_digests_and_headlines_as_expected(store):
    """Those of earlier versions are estimated again, perhaps on another processor."""
    opened = {run.id: runs.about(run) for run in runs.opened(store)}
    assert opened.keys() == RUNS.keys()
    for id_, expected in RUNS.items():
        numbers, stored = opened[id_].pop("headline"), {**expected}
        headline = {n: float(value) for n, value in stored.pop("headline").items()}
        assert opened[id_] == stored
        numbers = {name: float(value) for name, value in numbers.items()}
        assert numbers == pytest.approx(headline, rel=1e-9, nan_ok=True)


@pytest.mark.slow
def test_the_rows_of_all_runs_are_read(store):
    for run in runs.opened(store):
        rows = run.rows.load()
        assert rows.sizes[run.task.step_dim] == RUNS[run.id]["steps"]
        assert set(run.declared_rows.data_vars) == set(run.task.emits)


def test_every_task_lists_the_names_of_its_estimates(store):
    for run in runs.opened(store):
        assert run.headline and set(run.headline) <= set(run.task.finds)


def test_asking_for_a_run_again_gives_the_stored_one(asked):
    def commits():
        told = (run.events() for run in runs.opened(asked))
        return [sum(e["event"] == "committed" for e in events) for events in told]

    before = commits()
    assert {name: run.id for name, run in runs.ask_all(asked).items()} == NAMED
    assert commits() == before


def test_a_run_to_a_condition_says_where_that_held(store):
    until = hs.open(NAMED["until"], store=store).until
    assert (until.condition, until.met) == ("ess > 30", True)
    assert until.step == RUNS[NAMED["until"]]["steps"] < 400


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in COSTLY))
        for name in sorted({*NAMED} - {"sharded"})
    ],
)
def test_every_run_is_verified(store, name):
    accepted(NAMED[name], store, segments=2, on="here", seed=0)


@pytest.mark.parametrize("name", sorted(SWEEPS))
def test_a_cell_of_every_sweep_is_verified(store, name):
    accepted(FIRST[name], store, segments=2, on="here", seed=0)


@pytest.mark.slow
def test_the_chains_of_all_runs_are_verified(store):
    for id_ in RUNS:
        accepted(id_, store, segments=0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sharded_run_is_verified_on_its_layout(store, fleet_ray):
    accepted(NAMED["sharded"], store, segments=2, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_stride_of_every_run_is_verified(store):
    for id_ in RUNS:
        accepted(id_, store, segments="all", on="here")


@pytest.mark.parametrize(
    ("id_", "steps"),
    [
        pytest.param(NAMED["discrete"], 250, id="traced"),
        pytest.param(NAMED["begun sycophancy"], 3, id="untraced"),
        pytest.param(NAMED["child"], 200, id="child"),
        pytest.param(PACKED, 200, id="packed"),
    ],
)
def test_a_run_is_extended_from_where_it_stands(own, id_, steps):
    run = opened(id_, own)
    stride = run.task.stride
    whole = run.steps // stride * stride
    before = links(run, whole)
    assert whole < run.steps or before == RUNS[id_]["links"]
    longer = hs.extend(run, steps=steps, on="here", store=own)
    assert (longer.id, longer.steps, longer.status) == (id_, steps, "complete")
    assert links(opened(id_, own), whole) == before
    accepted(id_, own, segments=0)


def test_a_stopped_run_is_resumed_to_its_length(own):
    id_ = NAMED["stopped"]
    assert RUNS[id_]["status"] == "stopped"
    run = hs.resume(id_, on="here", store=own)
    assert (run.steps, run.status, run.until.met) == (300, "complete", False)
    assert links(run, RUNS[id_]["steps"]) == RUNS[id_]["links"]
    accepted(id_, own, segments=0)


def computed(folder, *names):
    """Runs and sweeps, computed anew by a process that JAX is settled in as in runs."""
    roots = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))}
    line = [sys.executable, "-m", "gold.make", str(folder), *names]
    subprocess.run(line, check=True, cwd=HERE, env=variables, timeout=800)
    return json.loads((folder / "expected.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_that_are_computed_anew_have_the_same_digests(tmp_path, store):
    found = computed(tmp_path, *ANEW.split())
    assert found["named"] == {name: NAMED[name] for name in found["named"]}
    assert {*found["named"], *found["sweeps"]} == set(ANEW.split())
    assert found["sweeps"]["grid"] == SWEEPS["grid"]
    for id_ in found["runs"]:
        reproduced(opened(id_, tmp_path / "store"), store)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_that_is_computed_anew_is_the_same(tmp_path, store):
    found = computed(tmp_path)
    assert found["named"] == NAMED
    if same_environment(found):
        assert found["sweeps"] == SWEEPS
    for id_ in found["runs"].keys() & RUNS.keys():
        reproduced(opened(id_, tmp_path / "store"), store)


def same_environment(found):
    """Tell whether bits are equal, and so what searches propose from what runs find."""
    there, here = (
        {name for run in every.values() for name in run["environments"]}
        for every in (found["runs"], RUNS)
    )
    return there == here


@pytest.mark.parametrize("name", sorted(SWEEPS))
def test_every_sweep_is_opened_with_its_cells_and_states(store, name):
    sweep = hs.open_sweep(SWEEPS[name]["id"], store=store)
    assert runs.cells(sweep) == SWEEPS[name]
    assert sweep.dataset.outer_loss.load().notnull().any()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name == "asha"))
        for name in sorted(SWEEPS)
    ],
)
def test_a_sweep_that_is_asked_again_computes_nothing(asked, name):
    again = hs.sweep(BILEVEL, store=asked, on="here", **runs.sweeps()[name])
    assert runs.cells(again) == SWEEPS[name]
    assert (again.computed, again.reused) == (0, len(SWEEPS[name]["cells"]))


@pytest.mark.slow
def test_states_are_read(store):
    for id_ in {*NAMED.values(), *FIRST.values()}:
        run = opened(id_, store)
        assert run.kept()[-1] == RUNS[id_]["steps"] and run.state() is not None
