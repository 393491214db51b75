"""Hypergradients, laws, figures and refusals of the task ``bilevel``."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from support.bilevel_runs import run_here, scan_steps

import heliostat as hs
from heliostat import config
from heliostat.driver import packs
from heliostat.driver.placement import Placement
from heliostat.loop.forward_mode import ForwardMode
from heliostat.system.jit import jit
from heliostat_tasks.bilevel import Bilevel
from heliostat_tasks.bilevel.inner_solvers import solve_inner
from heliostat_tasks.bilevel.plots import plot_landscape, plot_leak
from heliostat_tasks.bilevel.problems import PROBLEMS


@pytest.mark.slow
def test_a_cell_of_a_grid_is_the_same_run_alone(tmp_path):
    """Rates, damping and anchor are arguments of one program."""
    fields = {
        "problem": "quadratic",
        "policy": "anchor",
        "method": "damped",
        "terms": 3,
    }
    numbers = [(0.6, 0.05, 0.1, 0.1), (None, 0.08, 0.2, 0.9), (0.7, None, 1.0, 0.5)]
    names = Bilevel.packable
    tasks = [Bilevel(**fields, **dict(zip(names, n, strict=True))) for n in numbers]
    cells = [packs.CellSpec(task, config.specify(task, 1)) for task in tasks]
    runs = packs.ensure_pack(cells, 150, Placement("here"), tmp_path / "packed")
    for task, packed in zip(tasks, runs, strict=True):
        alone = run_here(task, tmp_path / "alone", seed=1, steps=150)
        assert packed.record.strides(0, 100) == alone.record.strides(0, 100)
        assert packed.id == alone.id and repr(packed.headline) == repr(alone.headline)
    assert len({run.headline["outer_norm"].value for run in runs}) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_the_gradient_of_a_run_in_its_rates_is_that_of_central_differences():
    """For both rates; the loss is that of the run."""
    task, h = Bilevel(problem="quadratic", terms=3, inner_steps=5), 1e-6
    names, point = ["inner_lr", "outer_lr"], config.traced_fields(task)
    forward = ForwardMode(task, names, x64=True)
    result = forward.value_and_grad(point, seed=0, steps=30)
    for name in names:
        ends = [
            forward.value_and_grad(point | {name: point[name] + sign * h}, 0, 30)
            for sign in (1, -1)
        ]
        slope = (ends[0].loss - ends[1].loss) / (2 * h)
        np.testing.assert_allclose(result.gradient[name], slope, rtol=1e-6)
    rows, _ = scan_steps(task, 30)
    np.testing.assert_allclose(result.loss, rows.outer_loss[-1], rtol=1e-12)


def random_tree(rng, tree):
    """Draw numbers of these shapes, unlike those that a problem starts from."""
    return jax.tree.map(lambda x: jnp.asarray(0.3 * rng.normal(size=x.shape)), tree)


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
    """Slopes of u ↦ F(u, w_T(u)) along a random direction, by central differences."""
    fields = {"method": "unroll", "inner_steps": 5} | SMALL.get(name, {})
    task = Bilevel(problem=name, **fields)
    data, problem, solver = task.prepare(), task.problem_instance, task.inner_solver
    state = jax.eval_shape(lambda key: task.init(key, 0, data), jax.random.key(0))
    rng = np.random.default_rng(0)
    start = random_tree(rng, state.w)
    flat, tree = ravel_pytree(random_tree(rng, state.u))
    direction = rng.normal(size=flat.shape)

    def loss_and_slope(h, data):
        u = tree(flat + h * direction)
        w, gradient = solve_inner(solver, problem, u, start, data.train, data)
        loss = problem.outer(u, w, data.train)
        return loss, ravel_pytree(gradient.total)[0] @ direction

    program, h = jit(loss_and_slope), 1e-5
    expected = (program(h, data)[0] - program(-h, data)[0]) / (2 * h)
    np.testing.assert_allclose(program(0.0, data)[1], expected, rtol=1e-6)


@pytest.mark.slow
def test_the_laws_hold():
    fields = {"inner_steps": 3, "restarts": 2, "batch": 20}
    task = Bilevel(problem="pair", policy="reset", reset_every=30, **fields)
    reasons = hs.check_task(task, workers=())
    assert not {law: reason for law, reason in reasons.items() if reason}


@pytest.mark.slow
def test_figures_show_the_leak_and_the_landscape(tmp_path):
    run = run_here(Bilevel(problem="pair", inner_steps=3), tmp_path, steps=100)
    (axis,) = plot_leak(run, str(tmp_path / "leak.png")).axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("outer step", "outer loss F")
    labels = [text.get_text() for text in axis.get_legend().texts]  # no new starts
    floor = "floor: Eckart and Young, rank 1"
    assert labels == ["w of the run", "re-trained, same start", floor]
    assert axis.lines[1].get_xdata().tolist() == [100]  # the step of the evaluation
    task = Bilevel(problem="antidistillation")
    plot_landscape(task, (1, 5), (0.1, 1.0), str(tmp_path / "map.png"))
    assert (tmp_path / "leak.png").stat().st_size > 1000
    assert (tmp_path / "map.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="problem pair: expected quadratic"):
        plot_landscape(Bilevel(problem="pair"))


REFUSED = [
    ({"outer_lr": 0.0}, "outer_lr 0.0: expected a positive number"),
    ({"inner_lr": float("nan")}, "inner_lr=nan: expected a finite number"),
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
    (
        {"problem": "quadratic", "restarts": 2},
        "restarts 2: quadratic always starts from zero",
    ),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_fields_that_make_no_sense_are_refused_in_one_line(fields, reason):
    with pytest.raises(ValueError, match=reason) as error:
        Bilevel(**fields)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_knows_its_data_before_they_are_loaded(name):
    """The number of examples, and the starts that depend on a key."""
    problem = Bilevel(problem=name).problem_instance
    data = problem.data()
    assert problem.examples == len(data.train.y) == len(data.train.x)
    for which, start in (("u", problem.outer_start), ("w", problem.inner_start)):
        leaves = jax.tree.leaves(jit(start)(jax.random.key(0), data))
        assert any(np.any(leaf) for leaf in leaves) == (which in problem.random_starts)


def test_a_field_left_to_the_problem_is_its_number():
    """Given or not, it is the same run."""
    given = Bilevel(problem="pair", points=1, method="unroll", inner_steps=100)
    assert config.specify(given).id == config.specify(Bilevel(problem="pair")).id


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["quadratic", "antidistillation"])
def test_without_random_starts_seeds_give_equal_runs_and_data_seeds_others(
    tmp_path, problem
):
    def losses(seed, data_seed=0):
        task = Bilevel(problem=problem, data_seed=data_seed)
        run = hs.run(task, seed=seed, steps=2, store=tmp_path, on="here")
        return run.rows.outer_loss.values

    assert np.array_equal(losses(0), losses(1))
    assert not np.array_equal(losses(0), losses(0, data_seed=1))
