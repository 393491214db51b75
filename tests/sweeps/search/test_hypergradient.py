"""Gradient descent on the validation loss, against closed forms and differences."""

from __future__ import annotations

import json
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from support import toy_tasks
from support.valley_task import CURVES, RATES, Valley, best, loss, slope

import heliostat as hs
from heliostat.config import specify, traced_fields
from heliostat.driver import packs
from heliostat.driver.placement import Placement
from heliostat.loop.forward_mode import ForwardMode
from heliostat.sweeps.search.draws import random_shares


@dataclass(frozen=True)
class Noisy(Valley):
    """A valley with noise: three replicas in blocks of two, the last one padded."""

    push: float = 0.3  # size of a push
    packable = ("a", "b", "push")
    replicas, width = 3, 2

    def step(self, key, state, data):
        w, _ = super().step(key, jnp.sin(state), data)
        w = w + self.push * jax.random.normal(key, (3,))
        return w, {"w": w}


def search(store, trials=None, task=None, over=None, **options):
    options = {"search": "hypergradient", "on": "here", "x64": True, **options}
    over = over or {"a": RATES}
    return hs.sweep(task or Valley(), over=over, trials=trials, store=store, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return search(tmp_path_factory.mktemp("whole"), 10)


def events(result, kind):
    lines = (result.path / "events.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["event"] == kind]


# -- the derivative --------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_the_slope_of_descent_on_a_quadratic_is_that_of_the_closed_form(steps):
    """dL/da = −T Σ h² b² (1 − a h)²ᵀ⁻¹ and dL/db = 2 L / b."""
    result = ForwardMode(Valley(), ["a", "b"], True).value_and_grad(
        {"a": 0.13, "b": 2.0}, 0, steps
    )
    expected = 4 * slope(0.13, steps), 4 * loss(0.13, steps)
    np.testing.assert_allclose(result.gradient["a"], expected[0], rtol=1e-12)
    np.testing.assert_allclose(result.gradient["b"], expected[1], rtol=1e-12)
    np.testing.assert_allclose(result.loss, expected[1], rtol=1e-12)


@pytest.mark.slow
def test_the_slope_is_that_of_stored_runs(tmp_path):
    """By central differences of ordinary runs, with the same random numbers."""
    task, h = Noisy(), 1e-6
    names, at = task.packable, traced_fields(task)
    tasks = [Noisy(**{n: at[n] + s * h}) for n in names for s in (1, -1)]
    cells = [packs.CellSpec(t, specify(t, 3, True)) for t in (task, *tasks)]
    runs = packs.ensure_pack(cells, 5, Placement("here"), tmp_path)
    last = np.array([run.rows.w.isel(step=-1).values for run in runs])
    value, *shifted = 0.5 * np.mean(last**2 @ CURVES, axis=1)
    slopes = -np.diff(np.reshape(shifted, (-1, 2)))[:, 0] / (2 * h)
    result = ForwardMode(task, names, True).value_and_grad(at, 3, 5)
    np.testing.assert_allclose(result.loss, value, rtol=1e-13)
    np.testing.assert_allclose([result.gradient[n] for n in names], slopes, rtol=1e-8)


# -- the descent -----------------------------------------------------------------------


def test_a_sweep_finds_the_planted_rate(whole):
    """It is nearer than the best of four times as many draws."""
    a = whole.best().values["a"]
    draws = [RATES.at(u, whole=False) for u in random_shares(40, 1, 0)[:, 0]]
    assert abs(np.log(a / best())) < 0.02
    assert loss(a) < min(map(loss, draws))


def test_it_stays_in_its_range_and_ends_at_its_border(tmp_path):
    """The loss falls with b down to the end of the range."""
    result = search(tmp_path, 30, over={"b": hs.Range(0.5, 2)})
    b = result.dataset.b.values
    assert b[0] == 1.25 and b[-1] == 0.5 and np.all(np.diff(b) < 0)
    assert result.computed == len(b) < 5
    again = search(tmp_path, 40, over={"b": hs.Range(0.5, 2)})
    xr.testing.assert_identical(again.dataset.load(), result.dataset.load())


def test_without_a_finite_first_loss_it_ends(tmp_path):
    """The loss overflows with (1 − 9 a)²ᵀ."""
    result = search(tmp_path, 5, over={"a": hs.Range(1e200, 1e201)})
    assert result.shape == (1,) and result.computed == 1
    assert np.isnan(result.dataset.gradient).all()


# -- the sweep -------------------------------------------------------------------------


def test_the_gradient_is_kept_beside_the_runs(whole):
    data = whole.dataset
    assert data.gradient.dims == ("trial", "knob") and list(data.knob) == ["a"]
    expected = [slope(a) for a in data.a.values]
    np.testing.assert_allclose(data.gradient[:, 0], expected, rtol=1e-11)
    np.testing.assert_allclose(
        whole.summary.validation, [loss(a) for a in data.a.values], rtol=1e-11
    )
    log = events(whole, "differentiated")
    assert [e["gradient"]["a"] for e in log] == data.gradient[:, 0].values.tolist()
    opened = hs.open_sweep(whole.id, store=whole.store, task=Valley)
    xr.testing.assert_identical(opened.dataset.load(), data.load())


def test_every_trial_is_an_ordinary_run(whole):
    run = next(iter(whole.runs.values()))
    assert hs.verify(run, segments="all", on="here").status == "ACCEPT"
    again = hs.run(run.task, store=whole.store, on="here", x64=True)
    assert again.id == run.id


LATER = [pytest.param(k, marks=pytest.mark.slow) for k in ("proposed", "done", "told")]


@pytest.mark.parametrize("kind", [*LATER, "differentiated"])
def test_it_continues_from_a_journal_that_was_cut(tmp_path, whole, kind):
    part = search(tmp_path, 3)
    log = part.path / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    cut = [i for i, line in enumerate(lines) if f'"{kind}"' in line][1]
    log.write_text("".join(lines[: cut + 1]))
    longer = search(tmp_path, 4)
    assert longer.id == whole.id and (longer.computed, longer.reused) == (1, 3)
    same = whole.dataset.isel(trial=slice(4)).load()
    xr.testing.assert_identical(longer.dataset.load(), same)


def test_recorded_slopes_are_not_computed_again(tmp_path, monkeypatch):
    first = search(tmp_path, 3)
    monkeypatch.delattr(ForwardMode, "value_and_grad")
    again = search(tmp_path, 3)
    assert (again.computed, again.reused) == (0, 3)
    xr.testing.assert_identical(again.dataset.load(), first.dataset.load())


def test_the_mean_slope_over_seeds_is_followed(tmp_path):
    over = {"a": hs.Range(0.01, 1, log=True), "seed": [0, 1]}
    result = search(tmp_path, 2, Noisy(), over)
    data = result.dataset
    assert data.gradient.dims == ("trial", "seed", "knob") and result.computed == 4
    means = [e["values"]["a"] for e in events(result, "told")]
    np.testing.assert_allclose(means, data.gradient.mean("seed")[:, 0], rtol=1e-12)


@pytest.mark.slow
def test_a_search_seed_draws_another_start(tmp_path):
    result = [search(tmp_path, 1, search_seed=seed) for seed in (0, 1, 2)]
    rates = [sweep.dataset.a.item() for sweep in result]
    assert rates[0] == pytest.approx(1000**-0.5) and len(set(rates)) == 3
    assert len({sweep.id for sweep in result}) == 3


@pytest.mark.slow
def test_workers_compute_its_runs(fleet_ray, tmp_path, whole):
    result = search(tmp_path, 4, on="local", workers=2, gpus=0)
    expected = whole.dataset.gradient[:4]
    np.testing.assert_allclose(result.dataset.gradient, expected, rtol=1e-12)


# -- mistakes ---------------------------------------------------------------


@dataclass(frozen=True)
class Wide(Valley):
    """A task whose loss is not one number."""

    def validation(self, state, data):
        return state


@dataclass(frozen=True)
class Opaque(Valley):
    """A task whose loss is computed outside JAX."""

    def validation(self, state, data):
        kind = jax.ShapeDtypeStruct((), state.dtype)
        return jax.pure_callback(lambda w: np.sum(w), kind, state)


BAD = [
    ({"task": toy_tasks.Tuned(), "over": {"sigma": RATES}}, "tuned has no validation("),
    ({"over": {"a": [0.1]}}, "over a: search hypergradient needs a range"),
    ({"over": {"kinks": hs.Range(0, 3)}}, "packable, here a, b"),
    ({"task": Noisy(), "over": {"kinks": hs.Range(0, 3)}}, "packable, here a, b, push"),
    ({"over": {"seed": [1]}}, "there is nothing to draw but seeds"),
    ({"metric": "w"}, "it minimises validation, leave metric out"),
    ({"mode": "max"}, "it minimises validation, leave metric out"),
    ({"scheduler": "asha"}, "runs have one length, leave scheduler out"),
    ({"until": "w < 1"}, "runs have one length, leave until out"),
    ({"trials": 0}, "expected trials of at least 1"),
    ({"search": "hypergradien", "trials": 1}, "did you mean 'hypergradient'"),
]


@pytest.mark.parametrize("request_, line", BAD, ids=[line for _, line in BAD])
def test_a_bad_request_stores_nothing(tmp_path, request_, line):
    with pytest.raises(hs.RequestError) as error:
        search(tmp_path / "s", **request_)
    assert line in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "s").exists()


def test_an_invalid_loss_is_refused_in_one_line(tmp_path):
    with pytest.raises(hs.RequestError, match=r"float64\[3\], expected one float"):
        search(tmp_path, 1, Wide())
    with pytest.raises(hs.RunFailed, match="cannot be differentiated: ") as error:
        search(tmp_path, 1, Opaque())
    assert "\n" not in str(error.value)


def test_a_search_that_ends_early_says_why(tmp_path):
    """The loss falls with b down to the end of its range."""
    result = search(tmp_path, 8, over={"b": hs.Range(0.5, 1.0)})
    assert len(result.trials) < 8 and result.best().values == {"b": 0.5}
    reason = "the loss falls towards the ends of all ranges; take wider ones"
    assert result.ending == reason and reason in repr(result)
    assert hs.open_sweep(result.id, store=tmp_path, task=Valley).ending == reason
    fewer = search(tmp_path, len(result.trials), over={"b": hs.Range(0.5, 1.0)})
    assert fewer.ending == "" and fewer.computed == 0
