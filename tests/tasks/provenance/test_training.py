"""The training: AdamW against optax, a causal model, an order used once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.trainings import SMALL

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.system.jit import jit
from heliostat_tasks.provenance import Provenance, models
from heliostat_tasks.provenance.task import State, checksum

TEXT = {"channels": 8, "heads": 2, "layers": 2, "batch": 4, "held_out": 8}


def start(task):
    data = task.prepare()
    return jit(lambda: task.init(jax.random.key(0), 0, data))(), data


def test_a_step_is_optax_adamw_on_a_clipped_gradient():
    task = Provenance(**SMALL, lr=0.01, warmup=3, decay=0.2, clip=0.5)
    state, data = start(task)
    rate = lambda t: 0.01 * jnp.minimum(1.0, (t + 1) / 3)  # noqa: E731
    rule = optax.chain(
        optax.clip_by_global_norm(0.5), optax.adamw(rate, weight_decay=0.2)
    )
    params, memory = state.params, rule.init(dict(state.params))
    mean = lambda p, batch: jnp.mean(models.losses(task.architecture, p, batch))  # noqa: E731
    gradient, step = jit(jax.grad(mean)), jit(task.step)
    ruled = jit(rule.update)
    for t in range(6):
        batch = jnp.asarray(data.records[data.order[t]])
        change, memory = ruled(gradient(params, batch), memory, params)
        params = optax.apply_updates(params, change)
        state, row = step(jax.random.key(0), state, data)
        assert float(row["loss"]) > 0
    for name, array in params.items():
        np.testing.assert_allclose(state.params[name], array, rtol=2e-4, atol=1e-6)
    assert int(state.step) == 6


@pytest.mark.slow
def test_no_byte_sees_a_later_one():
    """The loss of each prefix, by a model of its length, is part of the whole loss: so
    each position depends on earlier ones alone."""
    task = Provenance(**TEXT, length=4)
    params = {
        n: jnp.asarray(a)
        for n, a in models.initial_weights(task.architecture, bytes(32)).items()
    }
    record = jnp.asarray(np.random.default_rng(0).integers(0, 256, 5, np.uint8))
    totals = []
    for k in range(1, 5):
        short = replace(task, length=k)
        part = params | {"place": params["place"][:k]}
        loss = jit(partial(models.losses, short.architecture))
        totals.append(k * float(loss(part, record[None, : k + 1])[0]))
    each = np.diff([0.0, *totals])
    assert (each > 0).all() and each.mean() == pytest.approx(np.log(256), rel=0.2)
    other = record.at[-1].add(1)
    whole = 4 * np.asarray(loss(params, jnp.stack([record, other])))
    assert whole[0] == pytest.approx(totals[-1], rel=1e-5)
    assert whole[1] - whole[0] != pytest.approx(0, abs=1e-6)


def test_every_record_is_seen_once_per_pass_and_held_out_ones_never():
    task = Provenance(**SMALL)
    data = task.prepare()
    seen, held = data.order.ravel(), task.order[-task.held_out :]
    assert len(set(seen)) == len(seen) and not set(seen) & set(held)
    assert len(seen) + len(held) > len(data.records) - task.batch


def test_data_fields_and_nonce_determine_the_seed(tmp_path):
    task = Provenance(**SMALL)
    (tmp_path / "r.bin").write_bytes(task.data.tobytes())
    changed = bytearray(task.data.tobytes())
    changed[5] ^= 1
    (tmp_path / "c.bin").write_bytes(changed)
    others = [
        replace(task, nonce="01"),
        replace(task, lr=0.1),
        replace(task, records=hs.File(tmp_path / "c.bin")),
    ]
    same = replace(task, records=hs.File(tmp_path / "r.bin"))
    assert same.seed == task.seed
    assert len({task.seed, *(other.seed for other in others)}) == 4


@pytest.mark.slow
def test_steps_beyond_training_change_nothing(tmp_path):
    task = Provenance(**SMALL, train=10, segment=5)
    where = {"store": tmp_path, "on": "here", "progress": silent}
    run = hs.run(task, **where)
    longer = hs.extend(run, steps=20, **where)
    assert longer.kept() == [5, 10, 15, 20]
    jax.tree.map(np.testing.assert_array_equal, longer.state(10), longer.state(20))
    assert (longer.rows.checksum[10:] == longer.rows.checksum[9]).all()


@pytest.mark.slow
def test_it_learns(tmp_path):
    task = Provenance(**SMALL, train=100, lr=0.01)
    run = hs.run(task, store=tmp_path, on="here", progress=silent)
    assert float(run.rows.loss[0]) > 1.5 > run.headline["loss"].value + 0.5


def test_any_bit_of_a_state_changes_its_checksum():
    ones = {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}
    state = State(jnp.int32(1), ones, ones, ones)
    seen = {tuple(np.asarray(checksum(state)).tolist())}
    for part in ("params", "mu", "nu"):
        for name, i in (("w", (0, 0)), ("w", (2, 1)), ("b", (1,))):
            bits = jax.lax.bitcast_convert_type(ones[name], jnp.uint32)
            flipped = jax.lax.bitcast_convert_type(bits.at[i].add(1), jnp.float32)
            other = state._replace(**{part: ones | {name: flipped}})
            seen.add(tuple(np.asarray(checksum(other)).tolist()))
    assert len(seen) == 10


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"channels": 2000}, "channels 2000: expected 1 to 1024"),
        ({"heads": 3}, "channels 64: expected a multiple of heads"),
        ({"train": 10**6, "segment": 20}, "segment 20: expected at least 50"),
        ({"lr": 1.0}, "lr 1.0: expected more than 0 and less than 1"),
        ({"decay": -0.1}, "decay -0.1: expected 0 to less than 1"),
        ({"clip": 0.0}, "clip 0.0: expected more than 0"),
        ({"nonce": "xyz"}, "nonce 'xyz': expected hexadecimal"),
        ({"model": "mlp", "heads": 2}, "it is for model tiny-lm"),
    ],
)
def test_invalid_fields_are_refused(fields, says):
    with pytest.raises(ValueError, match=says) as caught:
        Provenance(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "fields", "says"),
    [
        (b"x" * 64, {}, "64 bytes are no multiple of 65"),
        (b"x" * 650, {}, "there are 10, expected at least 1056"),
        (b"\xff" * 65 * 100, SMALL, "a label is 255, of 10"),
    ],
)
def test_invalid_records_are_refused(tmp_path, content, fields, says):
    (tmp_path / "r.bin").write_bytes(content)
    task = Provenance(records=hs.File(tmp_path / "r.bin"), **fields)
    with pytest.raises(ValueError, match=says):
        _ = task.data


@pytest.mark.slow
def test_the_laws_hold(fleet_ray):
    result = hs.check_task(Provenance(**SMALL, train=12, segment=3))
    assert not [law for law, reason in result.items() if reason], result
