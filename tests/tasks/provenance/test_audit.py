"""Audits of honest transcripts, of forged ones, and of unfinished ones."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from support.trainings import SMALL, TASK, claim_other_environment, reseal

import heliostat as hs
from heliostat_tasks.provenance import Provenance, verbs
from heliostat_tasks.provenance.attacks.catalog import forge
from heliostat_tasks.provenance.canonical import sha256
from heliostat_tasks.provenance.cost import ReplayBudget
from heliostat_tasks.provenance.transcript import file_format, writer
from heliostat_tasks.provenance.transcript.nonce import issue_nonce
from heliostat_tasks.provenance.transcript.signing import (
    generate_key,
    load_key,
    open_envelope,
)
from heliostat_tasks.provenance.verify import report
from heliostat_tasks.provenance.verify.findings import AuditPolicy
from heliostat_tasks.provenance.verify.report import publish_report
from heliostat_tasks.provenance.verify.sampling import flag_segments
from heliostat_tasks.provenance.verify.statement import not_established, statement


def kinds(result):
    return [replay.classify(result.policy.epsilon)[0] for replay in result.replays]


def test_an_honest_training_is_accepted_bit_for_bit(honest, judge, tmp_path):
    result = judge(honest, points=64)
    assert result.verdict == "ACCEPT" and kinds(result) == ["bitwise"] * 4
    publish_report(result, tmp_path / "report", tmp_path, load_key("verifier"))
    numbers = xr.load_dataset(tmp_path / "report" / report.NUMBERS)
    assert dict(numbers.sizes)["segment"] == 4 and float(numbers.distance.max()) == 0
    assert (tmp_path / "report" / report.PLOT).stat().st_size > 5_000
    body = writer.read_envelope(tmp_path / "report", report.STATEMENT, "report").body
    assert body["_type"] == "https://in-toto.io/Statement/v1"
    assert body["predicate"]["verdict"] == "ACCEPT"
    assert len(body["subject"][0]["digest"]["sha256"]) == 64


@pytest.mark.slow
def test_a_report_is_the_same_wherever_segments_are_replayed(
    workers_own, judge, tmp_path
):
    """In this process and by two workers: reports of the same bytes."""
    reports = []
    for place in (("here", None), ("local", 2)):
        result = judge(workers_own, *place, points=64)
        assert result.verdict == "ACCEPT" and kinds(result) == ["bitwise"] * 4
        publish_report(result, tmp_path / "report", tmp_path, load_key("verifier"))
        reports.append((tmp_path / "report" / report.STATEMENT).read_bytes())
    assert reports[0] == reports[1]


def test_in_another_environment_a_replay_must_be_near(honest, judge):
    forge("sub-epsilon-nudge", honest, honest.with_name("nudged"))
    claim_other_environment(honest.with_name("nudged"), 3)
    result = judge(honest.with_name("nudged"))
    assert result.verdict == "ACCEPT" and kinds(result).count("tolerance") == 1
    assert any("nudged" in line for line in not_established(result))
    strict = judge(honest.with_name("nudged"), epsilon=1e-9)
    assert strict.verdict == "REJECT" and "away in" in strict.reasons[0]


def test_equal_bits_in_a_claimed_other_environment_leave_exceptions_open(honest, judge):
    """A nudge hidden by a false claim: the other segments reveal it."""
    claim_other_environment(honest)
    assert judge(honest).verdict == "ACCEPT"  # an honest one, of a machine alike
    forge("sub-epsilon-nudge", honest, honest.with_name("nudged"))
    result = judge(honest.with_name("nudged"))
    assert result.verdict == "INCONCLUSIVE"
    assert result.reasons[0].startswith(
        "segment 3 ends with other bits, within epsilon"
    )


@pytest.mark.slow
def test_where_bits_agree_a_nudge_is_rejected(workers_own, judge):
    forge("sub-epsilon-nudge", workers_own, workers_own.with_name("nudged"))
    result = judge(workers_own.with_name("nudged"), "local", 2)
    assert result.verdict == "REJECT"
    assert "segment 3 (steps 13 to 18)" in result.reasons[0]
    assert "the checkpoint was changed" in result.reasons[0]
    assert kinds(result) == ["bitwise", "bitwise", "reject"]  # and nothing after it


@pytest.mark.parametrize("attack", ["forged-init", "seed-grinding"])
def test_a_false_start_is_rejected_before_any_replay(honest, judge, attack):
    forge(attack, honest, honest.with_name("forged"))
    result = judge(honest.with_name("forged"))
    assert result.verdict == "REJECT" and not result.replays


def test_a_step_that_differs_is_named(honest, judge):
    forge("swapped-order", honest, honest.with_name("swapped"))
    claim_other_environment(honest.with_name("swapped"))
    result = judge(honest.with_name("swapped"))
    assert result.verdict == "REJECT" and "they part at step 13" in result.reasons[0]


def test_a_false_log_is_rejected(honest, judge):
    log = np.fromfile(honest / file_format.LOG, file_format.LOG_ENTRY)
    log["loss"][7] *= 1.01
    (honest / file_format.LOG).write_bytes(log.tobytes())
    digest = sha256(log.tobytes())
    reseal(honest, "transcript", lambda body: body.update(log=digest))
    claim_other_environment(honest)
    result = judge(honest)
    assert result.verdict == "REJECT" and "logged losses" in result.reasons[0]


def test_where_bits_agree_the_log_must_agree_too(honest, judge):
    log = np.fromfile(honest / file_format.LOG, file_format.LOG_ENTRY)
    log["loss"] *= 1 + 5e-5
    (honest / file_format.LOG).write_bytes(log.tobytes())
    digest = sha256(log.tobytes())
    reseal(honest, "transcript", lambda body: body.update(log=digest))
    claim_other_environment(honest)
    result = judge(honest)
    assert result.verdict == "REJECT" and "logged losses" in result.reasons[0]
    assert "they part at step 1" in result.reasons[0]


def test_a_sample_states_its_power(honest, judge):
    result = judge(honest, segments=3, challenge=bytes(32))
    assert result.verdict == "ACCEPT" and len(result.replays) == 3
    assert {0, 3} <= set(result.plan)  # the first and the last, always
    predicate = statement(result)["predicate"]
    assert predicate["scope"]["catches"] == {"1": 0.5, "2": 1.0}
    assert "1 segments that were not replayed" in " ".join(predicate["notEstablished"])
    assert judge(honest, segments=3, challenge=bytes(32)).plan == result.plan


def test_a_nonce_of_an_untrusted_issuer_is_inconclusive(honest, judge):
    stranger = generate_key()
    result = judge(honest, issuers=(stranger.name,))
    assert result.verdict == "INCONCLUSIVE" and "--issuer" in result.reasons[0]
    assert not judge(honest, prover=stranger.name).replays
    assert judge(honest, prover=stranger.name).verdict == "REJECT"


def workers_of_ours():
    """Ray's worker processes below this one."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ray = (path / "cmdline").read_bytes().startswith(b"ray::Worker")
            if ray and os.getpid() in ancestors(int(path.name)):
                yield int(path.name)


def ancestors(pid):
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
        yield pid


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_is_inconclusive(honest, judge):
    """It is killed at its start, and so is each replacement."""
    done, killed = threading.Event(), set()

    def kill():
        while not done.wait(0.2):
            for pid in workers_of_ours():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = judge(honest, "local", 1)
    finally:
        done.set()
        killer.join()
    assert result.verdict == "INCONCLUSIVE" and not result.replays
    assert "lost again and again" in result.reasons[0] and len(killed) > 3


def test_a_replay_over_budget_is_not_started(honest, judge):
    result = judge(honest, budget=ReplayBudget(memory=1e5))
    assert result.verdict == "INCONCLUSIVE" and "GiB" in result.reasons[0]
    result = judge(honest, budget=ReplayBudget(seconds=1e-6))
    assert result.verdict == "INCONCLUSIVE" and " s, the limit is" in result.reasons[0]
    assert not result.moves
    result = judge(honest, budget=ReplayBudget(total=0.0))
    assert result.verdict == "INCONCLUSIVE" and "longer than 0 s" in result.reasons[0]


@pytest.mark.slow
def test_a_replay_beyond_its_memory_is_inconclusive(honest, judge):
    """The estimate is fooled here; the worker's own limit is not."""
    result = judge(honest, "local", 1, budget=ReplayBudget(memory=3e7))
    assert result.verdict == "INCONCLUSIVE" and not result.replays


@pytest.mark.slow
def test_memory_does_not_grow_with_the_segments(fleet_ray, judge, tmp_path):
    """Ninety states of 3.6 MB, one after another, in workers that may take 220 MB."""
    wide = {"model": "mlp", "channels": 512, "batch": 8, "held_out": 64}
    out = tmp_path / "wide"
    task = Provenance(**wide, train=90, segment=1)
    verbs.train(task, out=out, store=str(tmp_path / "s"), gpus=0)
    result = judge(out, "local", 1, budget=ReplayBudget(memory=220e6))
    assert result.verdict == "ACCEPT" and len(result.replays) == 90


@pytest.mark.slow
def test_commitment_nonce_and_training_may_be_three_commands(tmp_path):
    task = Provenance(**SMALL, train=6, segment=6)
    out, store = tmp_path / "t", str(tmp_path / "s")
    with pytest.raises(hs.RequestError, match="holds no commitment"):
        verbs.issue(out)
    verbs.commit(task, out=out)
    with pytest.raises(hs.RequestError, match="a commitment already"):
        verbs.commit(task, out=out)
    verbs.issue(out)
    nonce = (out / file_format.NONCE).read_bytes()
    verbs.issue(out)
    assert (out / file_format.NONCE).read_bytes() == nonce  # asking again is no new try
    with pytest.raises(hs.RequestError, match="to other fields"):
        verbs.train(TASK, out=out, store=store, on="here")
    answer = verbs.train(task, out=out, store=store, on="here")
    assert answer.data["status"] == "complete"
    with pytest.raises(hs.RequestError, match="a transcript already"):
        verbs.train(task, out=out, store=store, on="here")
    result = verbs.verify(out, on="here", points=0)
    assert result.status == 0 and result.data["verdict"] == "ACCEPT"
    json.dumps(result.data)


def test_a_training_uses_the_committed_data_only(tmp_path):
    task, out = Provenance(**SMALL, train=6, segment=6), tmp_path / "t"
    (tmp_path / "r.bin").write_bytes(task.data.tobytes())
    named = replace(task, records=hs.File(tmp_path / "r.bin"))
    with pytest.raises(hs.RequestError, match="expected one of them"):
        verbs.commit(named, out=out, data=tmp_path)
    verbs.commit(task, out=out)
    for given in ({"task": named}, {"task": task, "data": tmp_path}):
        with pytest.raises(hs.RequestError, match="leave out --data and --records"):
            verbs.train(**given, out=out, store=str(tmp_path / "s"), on="here")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"points": -5}, "points -5: expected 0 or more"),
        ({"prover": "ab"}, "prover ab: expected 64 hexadecimal digits"),
        ({"issuer": ("xy" * 32,)}, "expected 64 hexadecimal digits"),
        ({"challenge": "0"}, "challenge 0: expected 64 hexadecimal digits"),
        ({"segments": "0"}, "segments 0: expected a whole number, or all"),
        ({"epsilon": 0.0}, "epsilon 0.0: expected between 0 and 1"),
        ({"hours": 0.0}, "expected more than 0"),
        ({"workers": -1}, "workers -1: expected"),
    ],
)
def test_an_invalid_option_is_refused(honest, wrong, says):
    with pytest.raises(hs.RequestError, match=says):
        verbs.verify(honest, **({"on": "here", "points": 0} | wrong))
    assert not honest.with_name("transcript-report").exists()


def test_another_commitment_of_the_same_prover_is_counted(tmp_path):
    for number in (1, 2):
        out = tmp_path / str(number)
        verbs.commit(Provenance(**SMALL, train=5 + number, segment=6), out=out)
        verbs.issue(out)
        nonce = writer.read_envelope(out, file_format.NONCE, "nonce").body
        if number == 1:
            before = nonce["sequence"]
    assert nonce["sequence"] == before + 1


def test_the_same_data_under_another_key_are_counted(tmp_path):
    """A new key alone gives no new try."""
    sequence = []
    for number in (1, 2):
        out = tmp_path / str(number)
        task = Provenance(**SMALL, train=3 + number, segment=6)
        writer.commit(task, task.data.tobytes(), out, generate_key())
        envelope = (out / file_format.COMMITMENT).read_bytes()
        nonce = issue_nonce(envelope, generate_key(), tmp_path / "issued.jsonl")
        sequence.append(open_envelope(nonce, "nonce", "it").body["sequence"])
    assert sequence == [1, 2]


@pytest.mark.slow
def test_any_folder_of_text_can_be_trained_on(tmp_path):
    (tmp_path / "texts" / "more").mkdir(parents=True)
    for name in ("a.txt", "more/b.txt"):
        (tmp_path / "texts" / name).write_text(f"{name} " * 400)
    fields = {"channels": 8, "heads": 2, "layers": 1, "length": 15, "batch": 4}
    task = Provenance(**fields, train=4, segment=2, held_out=16)
    out = tmp_path / "t"
    data = tmp_path / "texts"
    verbs.train(task, out=out, data=data, store=str(tmp_path / "s"), on="here")
    assert (out / file_format.RECORDS).read_bytes().startswith(b"a.txt a.txt ")
    assert verbs.verify(out, on="here", points=0).data["verdict"] == "ACCEPT"
    with pytest.raises(hs.RequestError, match="expected a folder"):
        verbs.commit(task, out=tmp_path / "u", data=tmp_path / "none")


def test_suspicious_segments_are_flagged():
    """Of forty: one jumps, one stands still, one leaves no late trace; the first leave
    none, which is normal."""
    lengths, p_values = [1.0] * 40, [0.5] * 5 + [0.001] * 35
    lengths[7], lengths[9], p_values[30] = 21.0, 0.0, 0.4
    assert flag_segments(lengths, p_values) == {
        7: ["the weights jump"],
        9: ["the weights stand still"],
        30: ["no trace of its data"],
    }
    assert not flag_segments([1.0] * 3, [])


@pytest.mark.slow
def test_a_resumed_training_names_the_environment_of_each_segment(tmp_path, judge):
    """Begun on another machine, ended on this one: only there bits must agree."""
    out, store = tmp_path / "t", str(tmp_path / "s")
    task = Provenance(**SMALL, train=12, segment=6)
    verbs.commit(task, out=out)
    verbs.issue(out)
    task = writer.committed_task(task, out)
    run = hs.run(task, store=store, steps=6, on="here")
    events = run.path / "events.jsonl"
    text = events.read_text()
    run = hs.run(task, store=store, on="here")
    later = events.read_text()[len(text) :]
    print_ = next(e["environment"] for e in run.events() if e["event"] == "committed")
    events.write_text(text.replace(print_, "0123456789abcdef") + later)
    writer.export(hs.open(run.id, store=store), out, load_key("prover"))
    result = judge(out)
    assert result.verdict == "ACCEPT" and kinds(result) == ["bitwise", "bitwise"]
    assert [replay.same_environment for replay in result.replays] == [False, True]
    environments = statement(result)["predicate"]["environments"]
    assert [environment for _, environment in environments] == [
        "0123456789abcdef",
        print_,
    ]


def test_a_policy_is_never_read_from_a_transcript():
    assert AuditPolicy().epsilon == 1e-5 and AuditPolicy().segments == "all"
