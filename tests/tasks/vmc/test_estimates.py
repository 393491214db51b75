"""Headline of vmc from rows whose truth is known."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from heliostat import Estimate
from heliostat_tasks.vmc import estimates
from heliostat_tasks.vmc.chemistry import references as module
from heliostat_tasks.vmc.hamiltonian import LocalEnergy
from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.rows import averages

HELIUM = Molecule.parse("He")
WALKERS, SPREAD = 64, 0.3  # hartree, standard deviation of the local energy


def rows_of(steps: int, walkers: int = WALKERS, evaluating: int = 1) -> xr.Dataset:
    """Return rows of independent walkers of energy −2.9 hartree."""
    rng = np.random.default_rng(0)
    local = -2.9 + SPREAD * rng.normal(size=(steps, walkers))
    variance = local.var(1, ddof=1) if walkers > 1 else np.full(steps, np.nan)
    values = {
        "energy": local.mean(1),
        "variance": variance,
        "evaluating": np.full(steps, evaluating),
    }
    return xr.Dataset({name: ("step", v) for name, v in values.items()})


@pytest.fixture
def known(monkeypatch):
    """Return a function that sets the reference energies."""

    def give(**energies: Estimate) -> None:
        table = {name.replace("ccsd", "ccsd(t)"): e for name, e in energies.items()}
        monkeypatch.setattr(module, "references", lambda molecule: table)

    return give


@pytest.mark.parametrize("steps", [20, 100])
def test_error_is_at_least_that_of_independent_walkers_and_rows(known, steps):
    known(hf=Estimate(-2.86))
    rows = rows_of(steps)
    rows["energy"] = ("step", np.linspace(-2.9001, -2.8999, steps))  # suspiciously calm
    headline = estimates.headline(rows, HELIUM, WALKERS)
    least = math.sqrt(headline["variance"].value / (WALKERS * steps))
    assert headline["energy"].error >= least * (1 - 1e-9)
    assert headline["autocorrelation_time"].value >= 0.5


def test_too_few_rows_have_an_energy_without_a_bar_and_a_reason(known):
    known(hf=Estimate(-2.86), exact=Estimate(-2.9037))
    headline = estimates.headline(rows_of(19), HELIUM, WALKERS)
    assert headline["energy"].value == pytest.approx(-2.9, abs=0.05)
    assert math.isnan(headline["energy"].error)
    assert headline["energy"].note == "no error bar: 19 rows, at least 20 are needed"
    assert "correlation_fraction" not in headline


@pytest.mark.parametrize("walkers", [1, 2, WALKERS])
def test_variance_is_that_of_the_local_energy(known, walkers):
    """2,000 rows: its standard error is 3 % for one walker; 15 % is five of them."""
    known()
    variance = estimates.headline(rows_of(2000, walkers), HELIUM, walkers)["variance"]
    assert variance.value == pytest.approx(SPREAD**2, rel=0.15)
    assert 0 < variance.error < 0.1 * variance.value


def test_row_of_walkers_has_the_unbiased_variance():
    total = jnp.array([1.0, 2.0, jnp.nan, 6.0])
    energy, one = LocalEnergy(total, total, total), jnp.ones(4)
    row = averages(energy, one, jnp.array(1.0), one)
    assert row["variance"] == pytest.approx(np.var([1, 2, 6], ddof=1))
    assert row["nonfinite"] == 1


def test_fraction_is_that_of_the_correlation_energy(known):
    known(hf=Estimate(-2.86), ccsd=Estimate(-2.902), exact=Estimate(-2.9037))
    headline = estimates.headline(rows_of(100), HELIUM, WALKERS)
    fraction, energy = headline["correlation_fraction"], headline["energy"]
    assert fraction.value == pytest.approx((-2.86 - energy.value) / 0.0437)
    assert fraction.error == pytest.approx(energy.error / 0.0437)


@pytest.mark.parametrize(
    "table",
    [
        {"hf": Estimate(-2.9), "exact": Estimate(-2.9)},
        {
            "hf": Estimate(-2.8995),
            "exact": Estimate(-2.9),
        },
        {
            "hf": Estimate(-2.895),
            "exact": Estimate(-2.9),
        },
        {"hf": Estimate(-2.86), "ccsd": Estimate(-2.9, warning="stretched")},
        {"hf": Estimate(-2.86)},
        {},
    ],
    ids="zero basis statistics untrusted hf-only none".split(),
)
def test_fraction_is_absent_where_it_would_mean_little(known, table):
    known(**table)
    headline = estimates.headline(rows_of(100), HELIUM, WALKERS)
    assert "correlation_fraction" not in headline
    assert math.isfinite(headline["energy"].value)
    assert table.keys() <= {name.removesuffix("(t)") for name in headline}


def test_references_that_fail_leave_the_energy(monkeypatch):
    def fail(molecule):
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr(module, "references", fail)
    with pytest.warns(RuntimeWarning, match="no references for He: float division"):
        headline = estimates.headline(rows_of(100), HELIUM, WALKERS)
    assert {"energy", "variance", "autocorrelation_time"} == set(headline)


@pytest.mark.parametrize(
    ("sigma", "warned"), [(4, True), (2, False), (-9, False), (math.nan, False)]
)
def test_energy_significantly_above_hartree_fock_says_so(known, sigma, warned):
    known()
    energy = estimates.headline(rows_of(100), HELIUM, WALKERS)["energy"]
    known(hf=Estimate(energy.value - sigma * energy.error))
    warning = estimates.headline(rows_of(100), HELIUM, WALKERS)["energy"].warning
    assert ("above Hartree-Fock" in warning) == warned
