"""Overlaps of functions on a line, known exactly, and one Gauss-Newton step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.vmc import overlap, spring
from heliostat.kernels.vmc.overlap import log_mixture
from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat.system.jit import jit

pytestmark = pytest.mark.usefixtures("x64")

overlap_fit, least_squares = jit(overlap.overlap_fit), jit(spring.least_squares)

LINE = np.linspace(-9.0, 10.0, 20001)


def signed(values):
    return SignedLog(jnp.sign(values), jnp.log(jnp.abs(values)))


def walkers(psi, target, count=1500):
    """Quantiles of the mixture: walkers without noise."""
    density = jnp.exp(2 * log_mixture(psi(LINE).log, target(LINE).log))
    share = jnp.cumsum(density) - density / 2
    return jnp.interp((jnp.arange(count) + 0.5) / count * share[-1], share, LINE)


def gaussian(x):
    return signed(jnp.exp(-(x**2) / 2))


def combination(x, params):
    """ψ = e^{−x²/2} (θ₀ + θ₁ x), with scores xᵏ e^{−x²/2}/ψ."""
    basis = jnp.stack([jnp.ones_like(x), x], axis=-1)
    value = basis @ params
    scores = basis / value[:, None]
    return signed(jnp.exp(-(x**2) / 2) * value), scores


def test_overlap_of_shifted_gaussians_is_exact():
    """⟨ψ|D⟩² over the norms is e^{−a²/2} for a shift a; signs and sizes cancel."""
    target = lambda x: signed(-3.0 * jnp.exp(-((x - 1) ** 2) / 2))  # noqa: E731
    x = walkers(gaussian, target)
    fit = overlap_fit(gaussian(x), target(x), jnp.zeros((len(x), 1)))
    assert float(fit.overlap) == pytest.approx(np.exp(-0.5), abs=1e-4)
    assert float(fit.log_ratio) == pytest.approx(np.log(3), abs=1e-4)


def test_orthogonal_functions_have_no_overlap():
    target = lambda x: signed(x * jnp.exp(-(x**2) / 2))  # noqa: E731
    x = walkers(gaussian, target)
    fit = overlap_fit(gaussian(x), target(x), jnp.zeros((len(x), 1)))
    assert float(fit.overlap) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_target_in_the_span_leaves_no_residual(sign):
    """ψ is linear in θ, so the least-squares problem has an exact solution."""
    params, wanted = jnp.array([1.0, 0.2]), sign * jnp.array([1.0, 0.6])
    psi, target = (lambda x, p=p: combination(x, p)[0] for p in (params, wanted))
    x = walkers(psi, target)
    fit = overlap_fit(psi(x), target(x), combination(x, params)[1])
    change = least_squares(fit.rows, fit.residual, jnp.zeros(2), 1e-12)
    assert float(jnp.linalg.norm(fit.residual)) > 0.1
    np.testing.assert_allclose(fit.rows @ change, fit.residual, atol=1e-8)


def test_small_steps_raise_the_overlap():
    target = lambda x: signed(jnp.exp(-((x - 1) ** 2) / 2))  # noqa: E731

    def step(params, _):
        x = walkers(lambda x: combination(x, params)[0], target)
        psi, scores = combination(x, params)
        fit = overlap.overlap_fit(psi, target(x), scores)
        problem = fit.rows, fit.residual, jnp.zeros(2), 1e-6
        return params - 0.5 * spring.least_squares(*problem), fit.overlap

    overlaps = jit(lambda params: jax.lax.scan(step, params, length=10)[1])
    found = overlaps(jnp.array([1.0, 0.0])).tolist()
    assert (np.diff(found) > -1e-3).all()
    # the best combination is the projection: 1 + a²/2 times e^{−a²/2} for a = 1
    assert found[-1] == pytest.approx(1.5 * np.exp(-0.5), abs=2e-3)


def test_a_walker_that_is_not_finite_is_left_out():
    x = jnp.linspace(-1, 1, 9)
    scores = jnp.stack([x, x**2], axis=1)
    whole = overlap_fit(gaussian(x), gaussian(x - 0.3), scores)
    spoilt = [jnp.append(v, jnp.nan) for v in gaussian(x)]
    more = jnp.concatenate([scores, jnp.full((1, 2), jnp.inf)])
    longer = jnp.append(x, 0.0)
    fit = overlap_fit(SignedLog(*spoilt), gaussian(longer - 0.3), more)
    assert float(fit.overlap) == pytest.approx(float(whole.overlap))
    np.testing.assert_array_equal(fit.rows[-1], 0)
    assert np.isfinite(fit.residual).all()
