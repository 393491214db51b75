"""Runs of ``preferences`` against known coefficients, and against quadrature."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy.special import expit

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.kernels.diagnostics.convergence import summary
from heliostat_tasks.preferences import Preferences, nuts
from heliostat_tasks.preferences.effects import effects
from heliostat_tasks.preferences.plots import plot_effects
from heliostat_tasks.preferences.scales import compare_runs, compare_scales


def run_here(task, store, **options):
    return hs.run(task, store=store, on="here", progress=silent, **options)


def fitted(store, pairs, steps):
    task = Preferences(pairs=pairs, scale=0.3, warmup=150, holdout=0.3)
    return run_here(task, store, steps=steps)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on 1,500 synthetic pairs under a wide prior: seconds."""
    return fitted(tmp_path_factory.mktemp("store"), 1500, steps=650)


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """The same on 6,000 pairs."""
    return fitted(tmp_path_factory.mktemp("longer"), 6000, steps=650)


def draws_of(run) -> np.ndarray:
    """(chain, draw, feature) after the warm-up."""
    return run.tree["posterior"]["coefficients"].values.astype(float)


@pytest.mark.slow
def test_known_coefficients_are_recovered(longer):
    """χ² of 23 errors in units of the posterior sd: of its law, below 45 lie all but
    4e-3 and above 8 all but 2e-3.  The seed is fixed."""
    result = longer.headline
    assert result["rhat"].value < 1.01 and result["ess"].value > 400
    assert result["divergences"].value == 0
    alpha = draws_of(longer)
    off = alpha.mean((0, 1)) - longer.task.table.coefficients
    assert 8 < np.sum((off / alpha.std((0, 1))) ** 2) < 45


@pytest.mark.slow
def test_held_out_accuracy_is_that_of_the_known_coefficients(longer):
    """Expect nearly the same accuracy of both rules; labels decide about the rest.

    Only pairs whose sides the rules order differently count. Of those, the known rule
    gets σ(|x · α|) right on average: the difference lies within 4 standard deviations
    of what that gives (false alarm: 6e-5).
    """
    result, known = longer.headline, longer.task.table.coefficients
    _, out = longer.task.table.split(longer.task.holdout)
    margins, others = out @ known, out @ draws_of(longer).mean((0, 1))
    expected = 2 * expit(np.abs(margins[margins * others < 0])) - 1
    assert expected.sum() / len(out) < 0.01
    gap = result["oracle_accuracy"].value - result["holdout_accuracy"].value
    error = np.sqrt(np.sum(1 - expected**2)) / len(out)
    assert abs(gap - expected.sum() / len(out)) < 4 * error < 0.05
    assert result["holdout_accuracy"].value - 0.5 > 3 * result["holdout_accuracy"].error


@pytest.mark.slow
def test_held_out_loss_is_that_of_estimated_coefficients(longer):
    """Estimating F coefficients from n pairs costs F/2n = 0.0027 nat per pair on
    average; the seed is fixed."""
    _, out = longer.task.table.split(longer.task.holdout)
    known = -np.log(expit(out @ longer.task.table.coefficients)).mean()
    (row,) = compare_runs([longer]).to_dict("records")
    assert 0 < row["loss"] - known < 2 * 0.0027 and row["loss"] < np.log(2)
    assert row["more"] == row["more_error"] == 0 and row["run"] == longer.id
    assert row["accuracy"] == longer.headline["holdout_accuracy"].value


def test_headline_has_the_promised_estimates(run):
    assert set(run.headline) == set(run.task.finds)
    assert "prefers_matches_beliefs" in run.headline


def test_rows_open_in_arviz(run):
    import arviz_stats

    table = arviz_stats.summary(run.tree, var_names=["coefficients"], round_to="none")
    assert len(table) == 23 and table.index[0] == "coefficients[matches stated beliefs]"
    ours = summary(draws_of(run))
    # draws are float32, in which ArviZ folds them around their median
    np.testing.assert_allclose(table["r_hat"].astype(float), ours.rhat, rtol=1e-4)
    stats = run.tree["sample_stats"]
    assert {"lp", "energy", "diverging", "n_steps", "acceptance_rate"} <= set(stats)
    assert abs(float(stats["acceptance_rate"].mean()) - 0.8) < 0.1
    assert run.tree["warmup_posterior"].sizes["draw"] == 150


def test_effects_are_sorted_and_sums_replace_their_parts(run):
    alpha = run.tree["posterior"]["coefficients"].load()
    result = effects(alpha)
    assert result.sizes == {"feature": 22, "quantile": 5}
    assert (np.diff(result.values, axis=1) > 0).all()
    assert (np.diff(result.sel(quantile=0.5)) <= 0).all()
    both = alpha.isel(feature=[0, 1]).sum("feature")
    middle = result.sel(feature="matches beliefs", quantile=0.5)
    np.testing.assert_allclose(middle, expit(np.median(both)), rtol=1e-5)


def test_coefficients_of_correlated_features_have_opposite_errors(run):
    """Features of correlation one half; only their sum is well determined."""
    stated, implied = draws_of(run)[..., :2].reshape(-1, 2).T
    assert -0.5 < np.corrcoef(stated, implied)[0, 1] < -0.2


def test_the_plot_shows_every_feature_and_its_known_coefficient(run, tmp_path):
    figure = plot_effects(run, str(tmp_path / "effects.png"))
    (axes,) = figure.axes
    assert len(axes.get_yticklabels()) == 22 and "all else equal" in axes.get_xlabel()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["95 % of the posterior", "50 %", "median", "planted"]
    assert (tmp_path / "effects.png").stat().st_size > 10_000


def two_features(path, pairs: int = 300):
    """A file of two features that often come together."""
    rng = np.random.default_rng(5)
    first = rng.integers(-1, 2, pairs)
    phi = np.stack([first, np.where(rng.random(pairs) < 0.6, first, 0)], axis=1)
    won = rng.random(pairs) < expit(phi @ [0.6, -0.3])
    rows = [f"{'AB'[not w]},{a},{b}" for w, (a, b) in zip(won, phi, strict=True)]
    path.write_text("\n".join(["preferred,one,two", *rows]))
    return hs.File(str(path))


def by_quadrature(x: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and sd of two coefficients, on a grid of 601 × 601 points."""
    line = np.linspace(-2, 2, 601)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    rows, counts = np.unique(x, axis=0, return_counts=True)
    log = -np.logaddexp(0, -(grid @ rows.T)) @ counts - np.abs(grid).sum(1) / scale
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = weight @ grid
    return mean, np.sqrt(weight @ (grid - mean) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_means_and_variances_are_those_of_quadrature(tmp_path, scale):
    """Four numbers, each within 4 Monte Carlo errors: false alarms 3e-4 in all."""
    data = two_features(tmp_path / "two.csv")
    task = Preferences(data=data, scale=scale, holdout=0, warmup=300)
    alpha = draws_of(run_here(task, tmp_path, steps=3300))
    mean, sd = by_quadrature(task.table.x, scale)
    result = summary(alpha)
    assert np.all(np.abs(result.mean - mean) < 4 * result.mcse)
    squares = summary((alpha - mean) ** 2)
    assert np.all(np.abs(squares.mean - sd**2) < 4 * squares.mcse)
    assert np.all(result.mcse < 0.04 * sd) and np.all(result.rhat < 1.01)


@pytest.mark.slow
def test_with_numpyros_keys_the_chain_is_numpyros():
    """Bit for bit, warm-up included."""
    from numpyro.infer.hmc import hmc

    def bowl(z):
        return jax.numpy.sum(z**2 * jax.numpy.array([1.0, 30.0])) / 2

    begin, sample = hmc(bowl, algo="NUTS")
    z = jax.numpy.ones(2)
    theirs = begin(z, num_warmup=40, rng_key=jax.random.key(3))
    ours = nuts.initial_state(bowl, z, 40)
    sample = jax.jit(sample)
    step = jax.jit(lambda key, state: nuts.transition(bowl, key, state, 40))
    for _ in range(60):
        ours, theirs = step(theirs.rng_key, ours), sample(theirs)
        np.testing.assert_array_equal(ours.z, theirs.z)
    assert ours.adapt_state.step_size == theirs.adapt_state.step_size


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """Runs of the paper's size, 15,000 pairs × 23 features, by the prior's scale."""
    store = tmp_path_factory.mktemp("paper")
    return {b: run_here(Preferences(scale=b), store, steps=2000) for b in (0.01, 1.0)}


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_chains_agree_at_the_papers_size(papers, scale):
    result = papers[scale].headline
    assert result["rhat"].value < 1.01 and result["ess"].value > 1000
    gap = result["oracle_accuracy"].value - result["holdout_accuracy"].value
    assert abs(gap) < 0.01


@pytest.mark.slow
def test_the_papers_prior_shrinks_the_coefficients(papers):
    """The likelihood's curvature is I = n q p (1 − p) and the prior's gradient 1/b: it
    shrinks α = 0.25 by about 1/(b I) = 0.07, within the data's own error, 0.027."""
    index = list(papers[1.0].task.features).index("authoritative")
    wide, narrow = (np.median(draws_of(papers[b])[..., index]) for b in (1.0, 0.01))
    assert papers[1.0].task.table.coefficients[index] == 0.25
    assert abs(wide - 0.25) < 3 * 0.027
    assert abs(wide - narrow - 0.073) < 0.015
    assert 0.1 < narrow < 0.24


@pytest.mark.slow
def test_a_prior_that_is_far_too_narrow_has_a_larger_loss(tmp_path):
    data = two_features(tmp_path / "two.csv", pairs=12_000)
    task = Preferences(data=data, chains=2, warmup=100, holdout=0.3)
    options = {"store": tmp_path, "on": "here", "progress": silent, "steps": 300}
    result = compare_scales(task, (0.3, 0.0005), **options)
    assert result.index.tolist() == [0.0005, 0.3] and result["loss"].idxmin() == 0.3
    assert result.loc[0.0005, "more"] > 3 * result.loc[0.0005, "more_error"]
    assert abs(result.loc[0.0005, "loss"] - np.log(2)) < 0.003


@pytest.mark.slow
def test_losses_are_compared_pair_by_pair(papers):
    result = compare_runs([papers[b] for b in (0.01, 1.0)])
    _, out = papers[1.0].task.table.split(0.1)
    narrow, wide = (
        -np.log(expit(draws_of(papers[b]).reshape(-1, 23) @ out.T).mean(0))
        for b in (0.01, 1.0)
    )
    gap = narrow - wide
    np.testing.assert_allclose(result["loss"], [narrow.mean(), wide.mean()])
    np.testing.assert_allclose(np.ptp(result["loss"]), abs(gap.mean()))
    error = gap.std(ddof=1) / len(out) ** 0.5
    np.testing.assert_allclose(result["more_error"].max(), error)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_the_laws_hold(fleet_ray):
    task = Preferences(pairs=200, chains=3, warmup=60)
    result = hs.check_task(task, workers=(1, 2))
    assert {law: reason for law, reason in result.items() if reason} == {}
    assert "workers do not matter" in result


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"pairs": 0}, "pairs 0: expected at least 1"),
        ({"chains": 0}, "chains 0: expected at least 1"),
        ({"scale": 0.0}, "scale 0.0: expected more than 0"),
        ({"scale": float("nan")}, "scale=nan: expected a finite number"),
        ({"holdout": 1.0}, "holdout 1.0: expected 0 to less than 1"),
        ({"warmup": 19}, "warmup 19: expected at least 20"),
        ({"data": hs.File("t.csv"), "pairs": 9}, "pairs 9: nothing reads it here"),
    ],
)
def test_invalid_fields_are_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        Preferences(**fields)


def test_a_file_without_pairs_to_learn_from_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("pair,preferred,polite\nx,A,1\n")
    task = Preferences(data=hs.File(str(tmp_path / "t.csv")), holdout=0.999)
    with pytest.raises(hs.RequestError, match="leaves no pair to learn"):
        task.prepare()
