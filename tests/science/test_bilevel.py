"""Bilevel problems: closed forms, the floor of a cold start, what a warm one leaks."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import heliostat as hs
from heliostat import config, packs
from heliostat.driving.place import Place
from heliostat.engine.tangents import Tangents
from heliostat.kernels.compiler import jit
from heliostat.kernels.implicit import (
    Identity,
    Neumann,
    Proximal,
    PseudoInverse,
    inverse_hvp,
)
from heliostat.progress import silent
from heliostat_tasks.bilevel import Bilevel
from heliostat_tasks.bilevel.pictures import draw, landscape, norms
from heliostat_tasks.bilevel.problems import PROBLEMS
from heliostat_tasks.bilevel.problems.linear import reached
from heliostat_tasks.bilevel.problems.pair import floor
from heliostat_tasks.bilevel.responses import THEOREM, respond


def here(task, store, **options):
    return hs.run(task, store=store, on="here", progress=silent, **options)


def values(run):
    return {name: one.value for name, one in run.headline.items()}


def unfolded(task, steps, key=0):
    """Rows and last state of one replica, by the bare step."""
    root = jax.random.key(key)

    def run(data):  # as an argument: XLA would fold constants for seconds
        def step(state, t):
            return task.step(jax.random.fold_in(root, t), state, data)

        start = task.init(jax.random.fold_in(root, 0), 0, data)
        return jax.lax.scan(step, start, jnp.arange(1, steps + 1))

    state, rows = jit(run)(task.prepare())
    return SimpleNamespace(**{k: np.asarray(v) for k, v in rows.items()}), state


def test_a_cell_of_a_grid_is_the_same_run_alone(tmp_path):
    """Rates, damping and anchor are numbers of one program."""
    about = {"problem": "quadratic", "policy": "anchor", "method": "damped", "terms": 3}
    numbers = [(0.6, 0.05, 0.1, 0.1), (None, 0.08, 0.2, 0.9), (0.7, None, 1.0, 0.5)]
    names = Bilevel.packable
    tasks = [Bilevel(**about, **dict(zip(names, n, strict=True))) for n in numbers]
    cells = [packs.Packed(task, config.specify(task, 1)) for task in tasks]
    runs = packs.bring(cells, 150, Place("here"), tmp_path / "packed")
    for task, packed in zip(tasks, runs, strict=True):
        alone = here(task, tmp_path / "alone", seed=1, steps=150)
        assert packed.record.strides(0, 100) == alone.record.strides(0, 100)
        assert packed.id == alone.id and repr(packed.headline) == repr(alone.headline)
    assert len({run.headline["outer_norm"].value for run in runs}) == 3


@pytest.mark.usefixtures("x64")
def test_rates_are_searched_by_the_slope_of_the_outer_loss():
    """Of a whole run, in both rates, by central differences; F is that of the run."""
    task, h = Bilevel(problem="quadratic", terms=3, inner_steps=5), 1e-6
    names, at = ["inner_lr", "outer_lr"], config.knobs(task)
    tangents = Tangents(task, names, x64=True)
    found = tangents.of(at, seed=0, steps=30)
    for name in names:
        ends = [tangents.of(at | {name: at[name] + s * h}, 0, 30) for s in (1, -1)]
        slope = (ends[0].loss - ends[1].loss) / (2 * h)
        np.testing.assert_allclose(found.gradient[name], slope, rtol=1e-6)
    rows, _ = unfolded(task, 30)
    np.testing.assert_allclose(found.loss, rows.outer_loss[-1], rtol=1e-12)


# -- linear problems, over-parameterised in both levels --------------------------------


@pytest.mark.parametrize(
    "method", [pytest.param("pinv", marks=pytest.mark.slow), "unroll"]
)
def test_a_cold_start_comes_to_the_outer_solution_of_least_norm(tmp_path, method):
    """u → (V Φ⁺)⁺ y, to 1e-10, with zero outer loss."""
    task = Bilevel(problem="quadratic", method=method, inits=0)
    found = values(here(task, tmp_path, x64=True, steps=300))
    assert found["distance"] < 1e-10
    assert found["outer_loss"] < 1e-20
    assert found["outer_norm"] == pytest.approx(found["least_norm"], abs=1e-10)


METHODS = {
    "identity": ({}, Identity(0.8)),
    "neumann": ({"terms": 3}, Neumann(3, 0.8)),
    "truncated": ({"terms": 3}, Neumann(3, 0.8)),
    "damped": ({"terms": 3, "epsilon": 0.1}, Proximal(0.1, Neumann(3, 0.8))),
    "proximal": ({"terms": 60, "epsilon": 0.1}, Proximal(0.1, PseudoInverse())),
}


LONG = ("damped",)
"""The others hold its two parts, the series and the proximal term."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in METHODS],
)
@pytest.mark.usefixtures("x64")
def test_a_run_finds_what_its_approximation_stands_for(name):
    """Each u has F = 0; which one it is, follows from the filter alone."""
    fields, method = METHODS[name]
    task = Bilevel(problem="quadratic", method=name, inits=0, **fields)
    rows, state = unfolded(task, 1000)
    phi, v, y = (jnp.asarray(a) for a in task.posed.matrices())
    expected = jit(lambda: reached(phi, v, y, method))()
    np.testing.assert_allclose(state.u, expected, atol=1e-6)
    assert rows.outer_loss[-1] < 1e-12
    assert rows.distance[-1] > 1e-3


@pytest.mark.usefixtures("x64")
def test_methods_that_are_exact_agree():
    """The range of this H stands still: H⁺, steps in both modes and the projection."""
    many = {"inner_steps": 300}
    fields = {
        "pinv": {},
        "normal-cg": {"terms": 60},
        "projection": {},
        "unroll": {},
        "forward": {},
        "truncated": {"terms": 300},
    }
    tasks = [
        Bilevel(problem="quadratic", method=m, **many, **f) for m, f in fields.items()
    ]
    data = tasks[0].prepare()
    u = jnp.asarray(np.random.default_rng(0).normal(size=12))

    def gradients(u, data):
        start = tasks[0].posed.inner_start(None, data)
        answers = (respond(task, u, start, data.train, data) for task in tasks)
        return [gradient.total for _, gradient in answers]

    expected, *others = jit(gradients)(u, data)
    for found in others:
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["cg", "gmres", "normal-cg"])
@pytest.mark.usefixtures("x64")
def test_a_solver_takes_as_many_terms_as_it_is_given(name):
    """Four solve a system of four unknowns, two do not."""
    s = jnp.arange(1.0, 5.0)

    def residual(terms):
        method = THEOREM[name](Bilevel(problem="augment", method=name, terms=terms))
        x = jit(lambda v: inverse_hvp(lambda x: s * x, v, method))(jnp.ones(4))
        return float(jnp.max(jnp.abs(s * x - 1)))

    assert residual(4) < 1e-6 and residual(2) > 1e-2


def test_fewer_terms_find_longer_labels_and_shorter_weights():
    """Anti-distillation: |u| falls with K, |w| rises, and K → ∞ is the closed form."""
    task = Bilevel(problem="antidistillation")
    terms = (1, 5, 20, 1000)
    u, w, gap = norms(task, terms, [1e-6])[:, 0].T
    for falling in (u, -w, gap):
        assert np.all(np.diff(falling) < 1e-4)
    assert gap[-1] < 1e-3 and u[0] > 1.2 * u[-1] and w[0] < 0.6 * w[-1]


def test_there_are_more_synthetic_points_than_real_ones():
    data = Bilevel(problem="antidistillation").prepare()
    real, weights = data.train.x.shape
    assert real < data.inner.shape[0] < weights


# -- the floor of one pair -------------------------------------------------------------


def test_the_floor_is_eckart_and_youngs():
    """Against many random matrices of rank 1, fitted in turn; and it is attained."""
    draw_ = np.random.default_rng(0)
    x = draw_.normal(size=(50, 4)) * [3, 1, 1, 0.3]
    y = x @ draw_.normal(size=(4, 3)) + draw_.normal(size=(50, 3))

    def loss(w):
        return 0.5 * np.mean(np.sum((x @ w.T - y) ** 2, axis=1))

    found = []
    for _ in range(20):
        right = draw_.normal(size=4)
        for _ in range(200):  # alternating least squares of a bᵀ
            left = y.T @ (x @ right) / np.sum((x @ right) ** 2)
            right = np.linalg.lstsq(x, y @ left / (left @ left), rcond=None)[0]
        found.append(loss(np.outer(left, right)))
    lowest = floor(x, y, 1)
    np.testing.assert_allclose(min(found), lowest, rtol=1e-8)
    assert min(found) >= lowest - 1e-9
    best = np.linalg.lstsq(x, y, rcond=None)[0].T
    np.testing.assert_allclose(floor(x, y, 3), loss(best), rtol=1e-12)


def test_a_cold_start_comes_to_the_floor_and_a_warm_one_below(tmp_path):
    """What is below it cannot be taught by any pair: re-training says so."""
    cold = values(here(Bilevel(problem="pair", restarts=2), tmp_path))
    lowest = cold["floor"]
    assert cold["outer_loss"] == pytest.approx(lowest, abs=2e-3)
    assert cold["leak"] == 0
    task = Bilevel(
        problem="pair", policy="warm", inner_steps=1, inner_lr=0.02, restarts=4
    )
    run = here(task, tmp_path)
    rows = run.rows.isel(step=-1)
    assert np.all(rows.outer_loss < lowest - 0.5)
    assert np.all(rows.retrained_loss > lowest - 1e-3)
    assert np.all(rows.leak < -2)


@pytest.mark.parametrize("points", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_no_pairs_can_teach_a_larger_rank(points):
    """Whatever u is, and however long descent from zero is."""
    task = Bilevel(problem="pair", points=points, inner_steps=37)
    data = task.prepare()
    w = unfolded(task, 1, key=4)[1].w
    s = np.linalg.svd(w, compute_uv=False)
    assert np.all(s[points:] < 1e-5 * s[0]) and s[points - 1] > 1e-3 * s[0]
    assert float(task.posed.outer(None, w, data.train)) > floor(*data.train, points)


# -- policies and the leak meter -------------------------------------------------------


@lru_cache
def rows_of(**fields):
    task = Bilevel(problem="quadratic", method="identity", inner_steps=2, **fields)
    return unfolded(task, 60)[0].displacement


def test_the_ends_of_the_anchor_are_warm_and_cold():
    """An anchor of 0 is a warm start, one of 1 a cold one, up to rounding."""
    for policy, anchor in (("warm", 0.0), ("cold", 1.0)):
        plain = rows_of(policy=policy)
        anchored = rows_of(policy="anchor", anchor=anchor)
        np.testing.assert_allclose(anchored, plain, rtol=1e-4)


def test_resets_are_cold_where_they_fall_and_warm_between():
    reset = rows_of(policy="reset", reset_every=5)
    warm, cold = rows_of(policy="warm"), rows_of(policy="cold")
    np.testing.assert_array_equal(rows_of(policy="reset", reset_every=1), cold)
    np.testing.assert_array_equal(reset[:5], warm[:5])
    assert reset[50] < reset[54]  # 51 is the first of five steps
    assert reset[5] < warm[5]


@pytest.mark.slow
def test_a_start_may_be_drawn_anew():
    """Then w is nowhere near the first start: two draws are √2 |w₀| apart."""
    task = Bilevel(problem="moons", policy="redrawn", inner_steps=1, method="identity")
    rows, state = unfolded(task, 3)
    length = float(jnp.linalg.norm(ravel_pytree(state.start)[0]))
    np.testing.assert_allclose(rows.displacement, 2**0.5 * length, rtol=0.2)
    assert len(set(rows.displacement)) == 3


@pytest.mark.parametrize(
    "problem", ["pair", pytest.param("moons", marks=pytest.mark.slow)]
)
def test_a_cold_start_leaks_nothing(problem):
    """Re-trained as it was trained, w is the same, bit for bit."""
    fields = {"method": "identity", "inner_steps": 10, "retrain_steps": 10, "inits": 2}
    rows, _ = unfolded(Bilevel(problem=problem, **fields), 200)
    assert np.isnan(rows.leak[:99]).all()
    assert np.all(rows.leak[99:] == 0)
    new = rows.fresh_loss[99:] != rows.retrained_loss[99:]
    assert np.all(new == (problem == "moons"))  # a pair's model starts at zero always


def test_judgements_are_of_the_stride_and_stand_until_the_next(tmp_path):
    task = Bilevel(problem="quadratic", policy="warm", inner_steps=1)
    run = here(task, tmp_path, steps=250)
    rows = run.rows.isel(restart=0)
    changed = np.flatnonzero(np.diff(np.nan_to_num(rows.retrained_loss.values)))
    np.testing.assert_array_equal(changed + 2, [100, 200])  # steps count from 1
    leak = rows.outer_loss[[99, 199]] - rows.retrained_loss[[99, 199]]
    np.testing.assert_allclose(rows.leak[[99, 199]], leak, rtol=1e-5)
    assert run.observed.sizes["step"] == 2


@pytest.mark.slow
def test_ten_images_teach_digits_from_a_cold_start(tmp_path):
    found = values(here(Bilevel(), tmp_path))
    assert found["accuracy"] >= 0.84
    assert found["fresh_accuracy"] >= 0.82


@pytest.mark.slow
def test_a_warm_start_is_better_until_it_is_trained_again(tmp_path):
    task = Bilevel(policy="warm", inner_steps=10)
    found = values(here(task, tmp_path, steps=3000))
    assert found["accuracy"] >= 0.92
    assert found["retrained_accuracy"] <= 0.20
    assert found["fresh_accuracy"] <= 0.20


# -- the task --------------------------------------------------------------------------


def somewhere(draw, tree):
    """Numbers of these shapes, not where a problem starts."""
    return jax.tree.map(lambda x: jnp.asarray(0.3 * draw.normal(size=x.shape)), tree)


SMALL = {
    "moons": {"hidden": 4},
    "digits": {"hidden": 4},
    "augment": {"hidden": 4, "points": 12},
}


@pytest.mark.parametrize(
    "name",
    [  # digits are distilled as moons are
        pytest.param(name, marks=[pytest.mark.slow] * (name == "digits"))
        for name in PROBLEMS
    ],
)
@pytest.mark.usefixtures("x64")
def test_hypergradients_are_the_slope_of_the_outer_loss(name):
    """Of u ↦ F(u, w_T(u)) along a random direction, by central differences."""
    fields = {"method": "unroll", "inner_steps": 5} | SMALL.get(name, {})
    task = Bilevel(problem=name, **fields)
    data = task.prepare()
    state = jax.eval_shape(lambda key: task.init(key, 0, data), jax.random.key(0))
    draw_ = np.random.default_rng(0)
    start = somewhere(draw_, state.w)
    flat, tree = ravel_pytree(somewhere(draw_, state.u))
    direction = draw_.normal(size=flat.shape)

    def through(h, data):
        u = tree(flat + h * direction)
        w, gradient = respond(task, u, start, data.train, data)
        loss = task.posed.outer(u, w, data.train)
        return loss, ravel_pytree(gradient.total)[0] @ direction

    program, h = jit(through), 1e-5
    expected = (program(h, data)[0] - program(-h, data)[0]) / (2 * h)
    np.testing.assert_allclose(program(0.0, data)[1], expected, rtol=1e-6)


def test_the_laws_hold():
    fields = {"inner_steps": 3, "restarts": 2, "batch": 20}
    task = Bilevel(problem="pair", policy="reset", reset_every=30, **fields)
    found = hs.check_task(task, workers=())
    assert not {law: reason for law, reason in found.items() if reason}


def test_pictures_are_drawn(tmp_path):
    run = here(Bilevel(problem="pair", inner_steps=3), tmp_path, steps=100)
    (axis,) = draw(run, str(tmp_path / "leak.png")).axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("outer step", "outer loss F")
    said = [text.get_text() for text in axis.get_legend().texts]  # no new starts here
    floor = "floor: Eckart and Young, rank 1"
    assert said == ["w of the run", "re-trained, same start", floor]
    assert axis.lines[1].get_xdata().tolist() == [100]  # where it was judged
    task = Bilevel(problem="antidistillation")
    landscape(task, (1, 5), (0.1, 1.0), str(tmp_path / "map.png"))
    assert (tmp_path / "leak.png").stat().st_size > 1000
    assert (tmp_path / "map.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="problem pair: expected quadratic"):
        landscape(Bilevel(problem="pair"))


REFUSED = [
    ({"outer_lr": 0.0}, "outer_lr 0.0: expected a positive number"),
    ({"inner_lr": float("nan")}, "inner_lr=nan: expected a float"),
    ({"epsilon": -1.0, "method": "proximal"}, "epsilon -1.0: expected a positive"),
    ({"points": 0}, "points 0: expected 1 or more"),
    ({"inner_steps": 0}, "inner_steps 0: expected 1 or more"),
    ({"batch": -1}, "batch -1: expected 0 or more"),
    ({"restarts": 0}, "restarts 0: expected 1 or more"),
    ({"anchor": 1.5, "policy": "anchor"}, "anchor 1.5: expected a share, 0 to 1"),
    ({"anchor": 0.5}, "anchor 0.5: nothing reads it here, it is for policy anchor"),
    ({"reset_every": 5}, "reset_every 5: nothing reads it here"),
    ({"terms": 5, "method": "pinv"}, "terms 5: nothing reads it here"),
    ({"epsilon": 0.5}, "epsilon 0.5: nothing reads it here"),
    ({"hidden": 8, "problem": "pair"}, "hidden 8: nothing reads it here"),
    (
        {"method": "truncated", "terms": 30, "inner_steps": 10},
        "terms 30: expected at most 10, the inner_steps",
    ),
    (
        {"method": "cg", "problem": "quadratic"},
        "method cg: the Hessian of quadratic is singular",
    ),
    ({"problem": "quad"}, "problem='quad': expected one of quadratic, pair"),
    ({"policy": "hot"}, "policy='hot': expected one of cold, warm"),
    ({"terms": "5"}, "terms='5': expected an int"),
    ({"points": 1.5}, "points=1.5: expected an int"),
    ({"problem": "moons", "batch": 201}, "batch 201: expected at most 200"),
    ({"problem": "augment", "points": 1400}, "points 1400: expected at most 1399"),
    (
        {"problem": "augment", "points": 1399, "batch": 2},
        "batch 2: expected at most 1, the examples of augment",
    ),
    ({"data_seed": 2**32}, "data_seed 4294967296: expected less than 4294967296"),
    ({"problem": "pair", "policy": "redrawn"}, "policy redrawn: w₀ of pair is always"),
    ({"problem": "quadratic", "restarts": 2}, "restarts 2: quadratic starts from zero"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(fields, reason):
    with pytest.raises(ValueError, match=reason) as found:
        Bilevel(**fields)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_knows_its_data_before_they_are_loaded(name):
    """How many examples there are, and which starts a key draws."""
    problem = Bilevel(problem=name).posed
    data = problem.data()
    assert problem.examples == len(data.train.y) == len(data.train.x)
    for which, start in (("u", problem.outer_start), ("w", problem.inner_start)):
        leaves = jax.tree.leaves(jit(start)(jax.random.key(0), data))
        assert any(np.any(leaf) for leaf in leaves) == (which in problem.drawn)


def test_a_field_left_to_the_problem_is_its_number():
    """Whether it is given or not, it is the same run."""
    from heliostat import config

    given = Bilevel(problem="pair", points=1, method="unroll", inner_steps=100)
    assert config.specify(given).id == config.specify(Bilevel(problem="pair")).id


@pytest.mark.parametrize("problem", ["quadratic", "antidistillation"])
def test_where_nothing_is_drawn_seeds_are_no_sample_and_data_seeds_are(
    tmp_path, problem
):
    def found(seed, data_seed=0):
        task = Bilevel(problem=problem, data_seed=data_seed)
        run = hs.run(task, seed=seed, steps=2, store=tmp_path, on="here")
        return run.rows.outer_loss.values

    assert np.array_equal(found(0), found(1))
    assert not np.array_equal(found(0), found(0, data_seed=1))
