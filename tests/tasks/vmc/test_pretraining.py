"""Pretraining on the Hartree-Fock determinant, and the shares of heads."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.system.jit import jit
from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.chemistry.references import references
from heliostat_tasks.vmc.phases import phase_at
from heliostat_tasks.vmc.pretraining import mean_field
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz

SMALL = {"features": 8, "layers": 1, "attention_heads": 1, "terms": 2}


def test_only_sortlets_of_many_electrons_are_pretrained():
    assert VMC("LiH").pretrained == VMC("B").pretrained == 0
    assert VMC("B", head="hybrid").pretrained == 0
    assert VMC("B", head="smooth").pretrained == 150
    assert VMC("B", head="smooth", train=120).pretrained == 40  # a third at most
    assert VMC("B", head="smooth", train=0).pretrained == 0
    same = VMC("B", pretrain=7, terms=3).canonical()
    assert same == VMC("B").canonical() and same["pretrain"] == 0
    assert VMC("Li", determinants=2).canonical() == VMC("Li").canonical()


def test_phases_follow_each_other():
    steps = {"pretrain": 100, "train": 300, "moves": 10, "burn_in": 300}
    phase = {t: phase_at(jnp.asarray(t), **steps) for t in (1, 100, 101, 121, 300, 301)}
    names = {t: (bool(p.pretraining), bool(p.training)) for t, p in phase.items()}
    assert names == {
        **dict.fromkeys((1, 100), (True, True)),
        **dict.fromkeys((101, 121, 300), (False, True)),
        301: (False, False),
    }
    assert [int(phase[t].moves) for t in (1, 100, 101, 121, 301)] == [
        15,
        10,
        15,
        10,
        300,
    ]
    # walkers of the other density wait for theirs before parameters move
    assert float(phase[1].rate) == float(phase[101].rate) == 0 < float(phase[121].rate)


def test_shares_of_heads_add_up(x64):
    """Each is Ψ of that head alone over Ψ of all."""
    ansatz = Ansatz((5,), 3, 2, head="determinant+smooth", **SMALL)
    nuclei = jnp.zeros((1, 3))
    count = len(ansatz.orbitals.functions)
    draw = np.random.default_rng(0)
    coefficients = [draw.normal(size=(count, n)) for n in (3, 2)]
    params = jit(ansatz.init)(jax.random.key(1), nuclei, coefficients)
    weights = [2.0, 0.5]
    heads = [
        own | {"weight": own["weight"] * 0 + w}
        for own, w in zip(params["heads"], weights, strict=False)
    ]
    x = jnp.asarray(draw.normal(size=(5, 3)))
    value = jit(lambda heads: ansatz(params | {"heads": heads}, x, nuclei))
    total = value(heads)
    shares = jit(ansatz.shares)(params | {"heads": heads}, x, nuclei)
    for i in range(len(heads)):
        alone = value(
            [h | {"weight": h["weight"] * (i == j)} for j, h in enumerate(heads)]
        )
        ratio = alone.sign * total.sign * jnp.exp(alone.log - total.log)
        assert float(shares[i]) == pytest.approx(float(ratio))
    assert float(shares.sum()) == pytest.approx(1)


@pytest.mark.slow
def test_the_target_is_antisymmetric_and_ignores_the_parameters_of_training(x64):
    task = VMC("Li", head="determinant", **SMALL)
    data, x = task.prepare(), jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)))
    one = mean_field(task.ansatz, x, data)
    two = mean_field(task.ansatz, x[jnp.array([1, 0, 2])], data)
    assert float(one.sign) == -float(two.sign)
    assert float(one.log) == pytest.approx(float(two.log))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("head", ["sortlet", "smooth"])
def test_sortlets_become_the_hartree_fock_determinant(tmp_path, head):
    """Boron: squared overlap above 0.98, no energy significantly above Hartree-Fock.

    A few walkers of thousands may sit where a value is not finite; they are counted.
    """
    task = VMC("B", head=head, train=450)
    run = hs.run(task, steps=150, store=tmp_path, on="here", progress=silent)
    rows = run.rows.load()
    assert float(rows.overlap[-20:].mean()) > 0.98
    assert rows.nonfinite.sum() < 10 and not rows.skipped.any()
    energies = rows.energy[-30:]
    hf = references(task.molecular)["hf"].value
    assert float(energies.mean()) < hf + 4 * float(energies.std()) / 30**0.5
