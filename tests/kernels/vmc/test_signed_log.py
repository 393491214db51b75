"""Sums of signed logarithms, against plain sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.vmc.signed_log import SignedLog, signed_logsumexp

pytestmark = pytest.mark.usefixtures("x64")


def test_signed_sum_equals_the_plain_sum():
    terms = np.array([3.0, -5.0, 0.5])
    total = signed_logsumexp(SignedLog(jnp.sign(terms), jnp.log(jnp.abs(terms))))
    assert float(total.sign * jnp.exp(total.log)) == pytest.approx(terms.sum())


def test_signed_sum_neither_over_nor_underflows():
    logs = jnp.array([2000.0, 2000.0 + jnp.log(2.0)])
    total = signed_logsumexp(SignedLog(jnp.array([-1.0, 1.0]), logs))
    assert float(total.sign) == 1 and float(total.log) == pytest.approx(2000.0)
    nothing = signed_logsumexp(SignedLog(jnp.zeros(2), jnp.full(2, -jnp.inf)))
    assert float(nothing.log) == -np.inf


def test_derivative_of_the_signed_sum_is_that_of_the_sum():
    def log(t):
        return signed_logsumexp(
            SignedLog(jnp.array([1.0, -1.0]), jnp.stack([t, 0.5 * t]))
        ).log

    t = 0.7
    exact = (np.exp(t) - 0.5 * np.exp(t / 2)) / (np.exp(t) - np.exp(t / 2))
    assert float(jax.grad(log)(t)) == pytest.approx(exact, rel=1e-12)


def test_a_weight_of_zero_has_the_derivative_of_its_term():
    terms = SignedLog(jnp.array([1.0, -1.0]), jnp.log(jnp.array([3.0, 2.0])))

    def log(weight):
        return signed_logsumexp(terms, jnp.stack([1.0, weight])).log

    assert float(log(0.0)) == pytest.approx(np.log(3))
    assert float(jax.grad(log)(0.0)) == pytest.approx(-2 / 3)
