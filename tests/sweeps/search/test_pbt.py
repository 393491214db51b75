"""Populations: their segments are runs, and every lineage replays."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
from rich.table import Table
from support.cooling_task import RATES, Cooling, breed

import heliostat as hs
from heliostat.cli.sweep_report import sweep_answer
from heliostat.driver.progress import silent


@pytest.fixture(scope="module")
def bred(tmp_path_factory):
    return breed(tmp_path_factory.mktemp("bred"))


def constant(rate, steps=60):
    e = 1.0
    for _ in range(steps):
        e = (1 - rate) * e + rate**2 / 10
    return e


@pytest.mark.slow
def test_a_population_beats_every_constant_rate(tmp_path):
    """Compared with a thousand constant rates."""
    result = breed(tmp_path, 12, steps=60)
    best = result.summary.e.isel(generation=-1).min()
    assert float(best) < min(constant(r) for r in np.geomspace(1e-3, 1, 1000))
    rates = [cell.values["rate"] for cell in result.lineage()]
    assert rates[-1] < rates[0] / 3  # the rate falls


def test_the_lineage_of_the_best_replays_step_by_step(bred):
    """In plain Python, with the rates of its cells."""
    line, e = bred.lineage(), 1.0
    assert [cell.place[1] for cell in line] == list(range(5))
    for cell in line:
        rows = bred.dataset.e.sel(member=cell.place[0], generation=cell.place[1])
        for stored in rows.values:
            e = (1 - cell.values["rate"]) * e + cell.values["rate"] ** 2 / 10
            assert stored == e


def test_every_segment_is_a_run_that_is_verified_with_its_parent(bred):
    for cell in bred.lineage()[-2:]:
        run = bred.runs[cell.spec.id]
        assert hs.verify(run, segments="all", on="here").status == "ACCEPT"
        parent = hs.open(cell.parent.run, store=bred.store, task=Cooling)
        alone = hs.run(
            cell.task,
            seed=cell.seed,
            steps=5,
            parent=parent,
            store=bred.store,
            on="here",
            progress=silent,
        )
        assert alone.id == run.id and alone.state(0) == parent.state(-1)


def test_the_worst_continue_from_the_best_with_other_values(bred):
    data = bred.summary
    for generation in range(1, 5):
        before = data.e.isel(generation=generation - 1).values
        order = np.argsort(before)
        source = data.source.isel(generation=generation).values
        moved = set(np.flatnonzero(source != np.arange(4)))
        assert moved == {order[-1]} and {*source[[*moved]]} == {order[0]}
        rates = data.rate.isel(generation=generation).values
        inherited = data.rate.isel(generation=generation - 1).values[source]
        same = [m for m in range(4) if m not in moved]
        np.testing.assert_array_equal(rates[same], inherited[same])


def test_single_values_of_the_dataset_are_read(bred):
    last = bred.dataset.e.isel(step=-1, generation=-1).values
    np.testing.assert_array_equal(last, bred.summary.e.isel(generation=-1).values)


@pytest.mark.slow
def test_more_steps_are_more_generations_of_the_same_population(bred):
    short = breed(bred.store, steps=15)
    assert (short.computed, short.reused, short.id) == (0, 12, bred.id)
    longer = breed(bred.store, steps=30)
    assert (longer.computed, longer.reused) == (4, 20) and longer.id == bred.id
    again = hs.open_sweep(bred.id, store=bred.store, task=Cooling)
    assert again.summary.equals(longer.summary)
    assert again.dataset.e.equals(longer.dataset.e)


def test_a_plot_shows_the_lineage(bred, tmp_path):
    assert bred.plot(output=tmp_path / "a.png").stat().st_size > 10_000
    axes = bred.plot(kind="lineage")
    assert axes.get_xlabel() == "generation" and axes.get_ylabel() == "rate"


def test_its_table_begins_with_the_best_of_the_last_generation(bred):
    (table,) = [part for part in sweep_answer(bred).text if isinstance(part, Table)]
    columns = {str(c.header): [str(cell) for cell in c.cells] for c in table.columns}
    generations = [int(g) for g in columns["generation"]]
    assert generations == sorted(generations, reverse=True) and generations[-1] == 0
    values = [float(bred.headlines[run]["e"].value) for run in columns["run"]]
    last = values[: generations.count(generations[0])]
    assert last == sorted(last)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"search": "grid", "over": {"rate": [0.1, 0.2]}, "trials": None}, "drawn"),
        ({"trials": 1}, "at least 2"),
        ({"steps": 61}, "61 steps are no multiple of the 5"),
        ({"metric": None}, "needs one metric, such as e"),
        ({"over": {"rate": RATES, "seed": [1, 2]}}, "over seed: a population is one"),
        ({"until": "e < 1"}, "a scheduler ends runs already"),
    ],
)
def test_mistakes_get_one_line(tmp_path, options, says):
    with pytest.raises(hs.RequestError, match=says):
        breed(tmp_path, **options)
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Sized(hs.Task):
    """A state whose shape is a field."""

    size: int = 2  # of the state
    emits = {"x": hs.Var()}
    stride, steps = 2, 4

    def init(self, key, replica, data):
        return {"x": jnp.zeros(self.size)}

    def step(self, key, state, data):
        x = state["x"] + 1 / self.size
        return {"x": x}, {"x": x.sum()}

    def headline(self, rows):
        mean = float(rows.x.mean()) + self.size
        return {"x": hs.Estimate(mean)}


def test_a_state_of_another_shape_is_refused_and_the_others_continue(tmp_path):
    about = {"search": "sobol", "trials": 2, "metric": "x", "scheduler": "pbt"}
    over = {"size": [2, 5, 8, 11]}
    result = hs.sweep(Sized(), over=over, store=tmp_path, on="here", **about)
    states = result.summary.state.values
    assert set(states[:, 0]) == {"done"} and sorted(states[:, 1]) == ["done", "failed"]
    (reason,) = result.failures.reason
    assert "the state to start from has x float32[" in reason


def test_runs_that_differ_in_their_parents_have_different_ids(bred):
    ids = {cell.spec.id for cell in bred.cells}
    assert len(ids) == 20
