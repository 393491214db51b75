"""Search by the slope of the validation loss, against closed forms and differences."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize_scalar
from support import toy_tasks

import heliostat as hs
from heliostat.config import specify, traced_fields
from heliostat.driver import packs
from heliostat.driver.placement import Placement
from heliostat.loop.forward_mode import ForwardMode
from heliostat.sweeps.cells import random_shares
from heliostat.sweeps.search.rprop import Rprop

CURVES = np.array([1.0, 3.0, 9.0])
"""Curvatures: descent is stable for rates below 2/9."""

RATES = hs.Range(0.001, 1, log=True)


@dataclass(frozen=True)
class Valley(hs.Task):
    """w ← w − a h w from w = b, so that L = ½ Σ h b² (1 − a h)²ᵀ."""

    a: float = 0.1  # rate
    b: float = 1.0  # start
    kinks: int = 0  # a number that is no float
    packable = ("a", "b", "kinks")
    emits = {"w": hs.Var(("curve",))}
    stride, steps = 5, 10

    def init(self, key, replica, data):
        return self.b * jnp.ones(3)

    def step(self, key, state, data):
        w = state - self.a * jnp.asarray(CURVES, float) * state
        return w, {"w": w}

    def validation(self, state, data):
        return 0.5 * jnp.sum(jnp.asarray(CURVES, float) * state**2)


def loss(a, steps=10):
    return 0.5 * np.sum(CURVES * (1 - a * CURVES) ** (2 * steps))


def slope(a, steps=10):
    return -steps * np.sum(CURVES**2 * (1 - a * CURVES) ** (2 * steps - 1))


@cache
def best():
    """The planted rate."""
    found = minimize_scalar(loss, bounds=(0.1, 2 / 9), options={"xatol": 1e-12})
    return found.x


@dataclass(frozen=True)
class Noisy(Valley):
    """Replicas that are pushed about, in blocks of two of which the last is padded."""

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


def events(found, kind):
    lines = (found.path / "events.jsonl").read_text().splitlines()
    return [e for e in map(json.loads, lines) if e["event"] == kind]


# -- the derivative --------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 10])
def test_descent_on_a_quadratic_has_the_slope_that_it_has_on_paper(steps):
    """dL/da = −T Σ h² b² (1 − a h)²ᵀ⁻¹ and dL/db = 2 L / b."""
    found = ForwardMode(Valley(), ["a", "b"], True).value_and_grad(
        {"a": 0.13, "b": 2.0}, 0, steps
    )
    expected = 4 * slope(0.13, steps), 4 * loss(0.13, steps)
    np.testing.assert_allclose(found.gradient["a"], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found.gradient["b"], expected[1], rtol=1e-12)
    np.testing.assert_allclose(found.loss, expected[1], rtol=1e-12)


def test_it_is_that_of_the_runs_that_are_stored(tmp_path):
    """By central differences of ordinary runs, each with the keys of its replicas."""
    task, h = Noisy(), 1e-6
    names, at = task.packable, traced_fields(task)
    tasks = [Noisy(**{n: at[n] + s * h}) for n in names for s in (1, -1)]
    cells = [packs.CellSpec(t, specify(t, 3, True)) for t in (task, *tasks)]
    runs = packs.ensure_pack(cells, 5, Placement("here"), tmp_path)
    last = np.array([run.rows.w.isel(step=-1).values for run in runs])
    here, *there = 0.5 * np.mean(last**2 @ CURVES, axis=1)
    slopes = -np.diff(np.reshape(there, (-1, 2)))[:, 0] / (2 * h)
    found = ForwardMode(task, names, True).value_and_grad(at, 3, 5)
    np.testing.assert_allclose(found.loss, here, rtol=1e-13)
    np.testing.assert_allclose([found.gradient[n] for n in names], slopes, rtol=1e-8)


# -- the descent -----------------------------------------------------------------------


def descended(start, within):
    """Runs until one is so near to the planted rate, by the closed form."""
    rule = Rprop({"a": RATES}, [start])
    for trial in range(1000):
        a = rule.propose(trial)["a"]
        if abs(np.log(a / best())) < within:
            return trial + 1
        rule.tell(trial, {"validation": loss(a), "a": slope(a)})
    raise AssertionError("it has not come there")


def drawn(seed, within):
    for trial, share in enumerate(random_shares(1000, 1, seed)[:, 0]):
        if abs(np.log(RATES.at(share, whole=False) / best())) < within:
            return trial + 1
    return 1000


def test_it_wants_fewer_runs_than_draws_by_chance():
    """A tenth of them at most, to be within 2 % of the planted rate.

    A draw is there with p = 0.04 / ln 1000, so that 173 of them are wanted on average.
    The mean of 40 searches by draws is below 90 once in 8,000 times (a sum of 40
    exponential times).
    """
    ours = [descended(start, 0.02) for start in np.linspace(0.01, 0.99, 40)]
    theirs = [drawn(seed, 0.02) for seed in range(40)]
    assert max(ours) <= 15 and np.mean(ours) < np.mean(theirs) / 10


def test_a_sweep_finds_the_planted_rate(whole):
    """Nearer than the best of four times as many draws."""
    a = whole.best().values["a"]
    draws = [RATES.at(u, whole=False) for u in random_shares(40, 1, 0)[:, 0]]
    assert abs(np.log(a / best())) < 0.02
    assert loss(a) < min(map(loss, draws))


def test_each_axis_has_a_step_of_its_own():
    """(x − 0.2)² + 100 (y − 7)⁴: signs do not see the difference in scale."""
    rule = Rprop({"x": hs.Range(0, 1), "y": hs.Range(0, 10)}, [0.5, 0.5])
    for trial in range(40):
        x, y = rule.propose(trial).values()
        found = {"x": 2 * (x - 0.2), "y": 400 * (y - 7) ** 3}
        rule.tell(trial, found | {"validation": (x - 0.2) ** 2 + 100 * (y - 7) ** 4})
    at = rule.propose(40)
    assert abs(at["x"] - 0.2) < 1e-3 and abs(at["y"] - 7) < 1e-2


def test_it_stays_in_its_range_and_ends_where_it_stands_still(tmp_path):
    """The loss falls with b all the way to the end of the range."""
    found = search(tmp_path, 30, over={"b": hs.Range(0.5, 2)})
    b = found.dataset.b.values
    assert b[0] == 1.25 and b[-1] == 0.5 and np.all(np.diff(b) < 0)
    assert found.computed == len(b) < 5
    again = search(tmp_path, 40, over={"b": hs.Range(0.5, 2)})
    xr.testing.assert_identical(again.dataset.load(), found.dataset.load())


@pytest.mark.parametrize("lost", [np.nan, 2.0])
def test_from_where_the_loss_is_higher_or_none_it_goes_back_half_of_the_way(lost):
    rule = Rprop({"x": hs.Range(0, 1)}, [0.5])
    rule.tell(0, {"validation": 1.0, "x": -1.0})
    assert rule.propose(1) == {"x": 0.75}
    rule.tell(1, {"validation": lost, "x": -1.0})
    assert rule.propose(2) == {"x": 0.625}
    rule.tell(2, {"validation": 0.5, "x": -1.0})
    assert rule.propose(3) == {"x": 0.775}  # half of the step, then longer again


def test_slopes_that_mislead_do_no_harm():
    """Uphill is proposed again and again: it never goes on from a worse point."""
    rule = Rprop({"x": hs.Range(0, 1)}, [0.5])
    points = []
    for trial in range(100):
        x = rule.propose(trial)["x"]
        rule.tell(trial, {"validation": x, "x": -1.0})
        points.append(x)
    assert np.all(np.diff(points[1:30]) < 0) and points[29] - 0.5 < 1e-7
    assert rule.still


def test_without_a_first_loss_there_is_nowhere_to_go(tmp_path):
    """(1 − 9 a)²ᵀ overflows."""
    found = search(tmp_path, 5, over={"a": hs.Range(1e200, 1e201)})
    assert found.shape == (1,) and found.computed == 1
    assert np.isnan(found.dataset.gradient).all()


# -- the sweep -------------------------------------------------------------------------


def test_the_gradient_is_kept_beside_the_runs(whole):
    data = whole.dataset
    assert data.gradient.dims == ("trial", "knob") and list(data.knob) == ["a"]
    expected = [slope(a) for a in data.a.values]
    np.testing.assert_allclose(data.gradient[:, 0], expected, rtol=1e-11)
    np.testing.assert_allclose(
        whole.summary.validation, [loss(a) for a in data.a.values], rtol=1e-11
    )
    told = events(whole, "differentiated")
    assert [e["gradient"]["a"] for e in told] == data.gradient[:, 0].values.tolist()
    opened = hs.open_sweep(whole.id, store=whole.store, task=Valley)
    xr.testing.assert_identical(opened.dataset.load(), data.load())


def test_every_trial_is_an_ordinary_run(whole):
    run = next(iter(whole.runs.values()))
    assert hs.verify(run, segments="all", on="here").status == "ACCEPT"
    again = hs.run(run.task, store=whole.store, on="here", x64=True)
    assert again.id == run.id


@pytest.mark.parametrize("kind", ["proposed", "done", "differentiated", "told"])
def test_it_goes_on_where_it_was_cut(tmp_path, whole, kind):
    part = search(tmp_path, 3)
    log = part.path / "events.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    cut = [i for i, line in enumerate(lines) if f'"{kind}"' in line][1]
    log.write_text("".join(lines[: cut + 1]))
    longer = search(tmp_path, 4)
    assert longer.id == whole.id and (longer.computed, longer.reused) == (1, 3)
    same = whole.dataset.isel(trial=slice(4)).load()
    xr.testing.assert_identical(longer.dataset.load(), same)


def test_what_is_known_is_not_differentiated_again(tmp_path, monkeypatch):
    first = search(tmp_path, 3)
    monkeypatch.delattr(ForwardMode, "value_and_grad")
    again = search(tmp_path, 3)
    assert (again.computed, again.reused) == (0, 3)
    xr.testing.assert_identical(again.dataset.load(), first.dataset.load())


def test_seeds_are_followed_on_average(tmp_path):
    over = {"a": hs.Range(0.01, 1, log=True), "seed": [0, 1]}
    found = search(tmp_path, 2, Noisy(), over)
    data = found.dataset
    assert data.gradient.dims == ("trial", "seed", "knob") and found.computed == 4
    told = [e["values"]["a"] for e in events(found, "told")]
    np.testing.assert_allclose(told, data.gradient.mean("seed")[:, 0], rtol=1e-12)


def test_other_starts_are_drawn(tmp_path):
    found = [search(tmp_path, 1, search_seed=seed) for seed in (0, 1, 2)]
    rates = [sweep.dataset.a.item() for sweep in found]
    assert rates[0] == pytest.approx(1000**-0.5) and len(set(rates)) == 3
    assert len({sweep.id for sweep in found}) == 3


@pytest.mark.slow
def test_workers_compute_its_runs(fleet_ray, tmp_path, whole):
    found = search(tmp_path, 4, on="local", workers=2, gpus=0)
    expected = whole.dataset.gradient[:4]
    np.testing.assert_allclose(found.dataset.gradient, expected, rtol=1e-12)


# -- what makes no sense ---------------------------------------------------------------


@dataclass(frozen=True)
class Wide(Valley):
    """Its loss is not one number."""

    def validation(self, state, data):
        return state


@dataclass(frozen=True)
class Opaque(Valley):
    """Its loss is computed by somebody else."""

    def validation(self, state, data):
        kind = jax.ShapeDtypeStruct((), state.dtype)
        return jax.pure_callback(lambda w: np.sum(w), kind, state)


BAD = [
    ({"task": toy_tasks.Tuned(), "over": {"sigma": RATES}}, "tuned has no validation("),
    ({"over": {"a": [0.1]}}, "over a: search hypergradient wants a range"),
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
    with pytest.raises(hs.RequestError) as told:
        search(tmp_path / "s", **request_)
    assert line in str(told.value) and "\n" not in str(told.value)
    assert not (tmp_path / "s").exists()


def test_a_loss_that_is_none_is_refused_in_one_line(tmp_path):
    with pytest.raises(hs.RequestError, match=r"float64\[3\], expected one float"):
        search(tmp_path, 1, Wide())
    with pytest.raises(hs.RunFailed, match="cannot be differentiated: ") as told:
        search(tmp_path, 1, Opaque())
    assert "\n" not in str(told.value)
