"""Every attack, a hundred honest trainings, and traces of data."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from support.trainings import SMALL, TASK

import heliostat as hs
from heliostat.system.device import cores
from heliostat_tasks.provenance import Provenance, verbs
from heliostat_tasks.provenance.attacks import bench
from heliostat_tasks.provenance.attacks.catalog import ATTACKS, forge
from heliostat_tasks.provenance.transcript import file_format
from heliostat_tasks.provenance.transcript.signing import load_key

pytestmark = pytest.mark.slow

BELOW = {"permuted-batch", "sub-epsilon-nudge"}
"""Attacks that only equal bits reveal: another order of a sum, a millionth."""


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_rejected(name, workers_own, judge):
    forge(name, workers_own, workers_own.with_name("forged"))
    result = judge(workers_own.with_name("forged"), "local", 2, all_failures=True)
    assert result.verdict == "REJECT"
    elsewhere = [r.classify(result.policy.epsilon, False)[0] for r in result.replays]
    if result.replays:
        assert ("reject" in elsewhere) != (name in BELOW)
    else:
        assert name in ("forged-init", "seed-grinding")


def test_an_unknown_attack_is_refused(honest, tmp_path):
    with pytest.raises(hs.RequestError, match="did you mean 'glue'"):
        forge("glu", honest, tmp_path / "x")
    assert set(ATTACKS) >= BELOW and not (tmp_path / "x").exists()


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_hundred_honest_trainings_are_accepted(tmp_path, judge):
    """Each with data order and initial weights of its own nonce."""
    for number in range(100):
        out = tmp_path / str(number)
        task = replace(TASK, train=12, lr=1e-3 * (1 + number / 100))
        verbs.train(task, out=out, store=str(tmp_path / "store"), on="here")
        result = judge(out)
        assert result.verdict == "ACCEPT", (number, result.reasons)
        assert all(replay.bitwise_equal for replay in result.replays)


UNPINNED = """
import jax  # noqa: E402
jax.devices()  # XLA has seen all cores now
from heliostat_tasks.provenance import Provenance, verbs
from pathlib import Path
task = Provenance(**{fields}, train=60, segment=10)
verbs.train(task, out=Path({out!r}), store={store!r}, on="here")
"""


@pytest.mark.parametrize(
    "fields", [SMALL, {"channels": 32, "heads": 2, "batch": 16, "held_out": 64}]
)
def test_across_core_counts_an_honest_training_is_accepted(
    fleet_ray, tmp_path, judge, fields
):
    """Trained on all cores, replayed on one: within ε = 1e-5, if not bit for bit."""
    assert len(cores()) > 1
    out = tmp_path / "t"
    code = UNPINNED.format(fields=fields, out=str(out), store=str(tmp_path / "s"))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
    result = judge(out, "local", 1)
    assert result.verdict == "ACCEPT" and len(result.replays) == 6
    assert not any(replay.same_environment for replay in result.replays)
    assert max(replay.distances["weights"] for replay in result.replays) < 1e-5


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_training_leaves_traces(fleet_ray, tmp_path, judge):
    """A transformer of 119,104 weights on text: the records of a segment differ from
    held-out ones, more clearly the longer the training."""
    task = Provenance(train=384, segment=16)
    out = tmp_path / "t"
    verbs.train(task, out=out, store=str(tmp_path / "s"), gpus=0)
    result = judge(out, "local", 2, points=512)
    assert result.verdict == "ACCEPT"
    first, *_, last = result.traces
    assert abs(first.effect) < 0.2 and first.auc == pytest.approx(0.5, abs=0.06)
    late = result.traces[-4:]
    assert all(0.5 < t.effect < 1.4 for t in late)
    assert all(0.64 < t.auc < 0.82 for t in late)
    assert all(t.bound[1] < 0.5 for t in late) and last.p_value <= 0.001
    assert _chance(result) < 1e-3
    print("traces", [(round(t.effect, 2), round(t.auc, 3), t.bound) for t in late])


def _chance(result):
    """Chance that six random intervals lower the losses of the last six segments as
    much as the intervals that trained on them."""
    change = np.diff(result.memorisation, axis=0)[:, : len(result.plotted)].T
    own = np.asarray(result.plotted)[-6:]
    rng, late = np.random.default_rng(0), change[-6:]
    drawn = rng.integers(late.shape[1], size=(100_000, len(own)))
    return np.mean(_seen(late, drawn) >= _seen(late, own))


def _seen(change, intervals):
    return change[np.arange(len(change)), intervals].mean(axis=-1)


def test_the_bench_writes_a_table(fleet_ray, honest, tmp_path):
    answer = bench.run_attacks(honest, tmp_path / "bench", 2, lambda line: None)
    text = (tmp_path / "bench" / bench.TABLE).read_text()
    assert answer.status == 0 and all(name in text for name in ATTACKS)
    rows = {row["attack"]: row for row in answer.data["attacks"]}
    assert {n for n, row in rows.items() if "ACCEPT" in str(row)} == BELOW
    assert file_format.checkpoint_name(0) == "ckpt/000000.safetensors"
    assert load_key("prover").name != load_key("verifier").name
