"""One wavefunction over several workers: the same numbers, up to the order of sums."""

from __future__ import annotations

import numpy as np
import pytest

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.vmc import VMC

TINY = {
    "features": 8,
    "layers": 1,
    "attention_heads": 2,
    "terms": 2,
    "moves": 3,
    "burn_in": 20,
}


def local(task, store, **options):
    return hs.run(task, store=store, gpus=0, progress=silent, **options)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_workers_equal_one_to_1e_9_in_float64(fleet_ray, tmp_path):
    """Over thirty steps, the last ten of which move parameters."""
    task = VMC(molecule="LiH", walkers=16, train=40, **TINY)
    one, two = (
        local(task, tmp_path / str(n), workers=n, steps=30, x64=True) for n in (1, 2)
    )
    assert two.events()[1]["layout"] == "2 cpu in 2 processes"
    for name, row in one.rows.load().items():
        there = two.rows[name].values
        np.testing.assert_allclose(there, row.values, rtol=1e-9)
    assert (one.rows["update_"].values[-9:] > 0).all()


@pytest.mark.slow
def test_two_workers_adopt_a_parent_of_other_walkers_as_one_does(fleet_ray, tmp_path):
    """Fifteen walkers do not divide by two; the sixteen of the child do."""
    sizes = TINY | {"unit": "bohr", "train": 0}
    parent = VMC(molecule="H 0 0 0; H 0 0 1.4", walkers=15, **sizes)
    task = VMC(molecule="H 0 0 0; H 0 0 1.5", walkers=16, **sizes)
    start = local(parent, tmp_path, workers=1, steps=10, x64=True)
    one, two = (
        local(task, tmp_path / str(n), workers=n, steps=10, x64=True, parent=start)
        for n in (1, 2)
    )
    assert two.events()[1]["layout"] == "2 cpu in 2 processes"
    for name, row in one.rows.load().items():
        np.testing.assert_allclose(two.rows[name].values, row.values, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_here_equals_one_worker_bit_for_bit(fleet_ray, tmp_path):
    task = VMC(molecule="He", walkers=16, train=25, **TINY)
    here = hs.run(task, store=tmp_path / "h", steps=30, on="here", progress=silent)
    there = local(task, tmp_path / "t", steps=30, workers=1)
    assert here.record.strides(0, task.stride) == there.record.strides(0, task.stride)


def agreeing(one, two):
    """Steps before the first accept decision that fell the other way."""
    other = np.flatnonzero(one.rows.acceptance.values != two.rows.acceptance.values)
    return int(other[0]) if len(other) else one.steps


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_two_workers_equal_one_in_float32_then_in_distribution(fleet_ray, tmp_path):
    """LiH to 1e-4 hartree until decisions differ; then the evaluated energies agree.

    Both are unbiased means of one frozen wavefunction's local energy, so the difference
    over its error is standard normal: above 4 once in 16 000.
    """
    task = VMC(molecule="LiH", walkers=128, train=0, **TINY)
    one, two = (local(task, tmp_path / str(n), workers=n, steps=400) for n in (1, 2))
    near = agreeing(one, two)
    gap = np.abs(one.rows.energy.values - two.rows.energy.values)[:near]
    assert near >= 1 and gap.max() < 1e-4
    a, b = one.headline["energy"], two.headline["energy"]
    assert 0 < a.error < 0.1
    assert abs(a.value - b.value) < 4 * np.hypot(a.error, b.error)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_vmc_obeys_every_law(fleet_ray):
    found = hs.check_task(VMC(molecule="LiH", walkers=16, train=25, **TINY))
    assert {law: reason for law, reason in found.items() if reason} == {}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_default_run_of_lih_is_within_4_millihartree(fleet_ray, tmp_path):
    """Exact: -8.070548 hartree (Cencek, Rychlewski 2000)."""
    run = local(VMC(molecule="LiH"), tmp_path, workers=2)
    energy = run.headline["energy"]
    assert abs(energy.value + 8.070548) < 4e-3 and energy.error < 1e-3
    assert run.headline["correlation_fraction"].value > 0.95
    assert hs.verify(run).status == "ACCEPT"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_start_drives_in_the_background_and_watch_follows(tmp_path):
    from heliostat.cli import main

    task = VMC(molecule="H", walkers=8, train=0, **TINY)
    run = hs.start(task, steps=40, workers=1, store=tmp_path)
    assert main(["watch", run.id, "--store", str(tmp_path)]) == 0
    assert hs.open(run.id, store=tmp_path).status == "complete"
