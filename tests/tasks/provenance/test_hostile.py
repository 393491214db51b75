"""Hostile transcripts are refused with a reason and without any side effect."""

from __future__ import annotations

import json
import os
import random

import numpy as np
import pytest
from support.trainings import TASK, reseal

import heliostat as hs
from heliostat_tasks.provenance import verbs
from heliostat_tasks.provenance.canonical import Refused, sha256
from heliostat_tasks.provenance.cost import UNLIMITED, OverBudget
from heliostat_tasks.provenance.transcript import file_format, writer
from heliostat_tasks.provenance.transcript.reader import read_transcript
from heliostat_tasks.provenance.transcript.signing import load_key, open_envelope, seal
from heliostat_tasks.provenance.transcript.tensors import decode, encode, tensor_types

LAST = file_format.checkpoint_name(24)


def linked(folder):
    (folder / "elsewhere").write_bytes((folder / LAST).read_bytes())
    (folder / LAST).unlink()
    (folder / LAST).symlink_to(folder / "elsewhere")


def linked_folder(folder):
    (folder / "ckpt").rename(folder.with_name("ckpt"))
    (folder / "ckpt").symlink_to(folder.with_name("ckpt"))


def pipe(folder):
    (folder / file_format.RECORDS).unlink()
    os.mkfifo(folder / file_format.RECORDS)


def hole(folder):
    with (folder / file_format.RECORDS).open("ab") as stream:
        stream.truncate(1 << 42)  # a file of four terabytes that takes no room


def replaced(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def spec(**fields):
    return committed(lambda body: body["spec"].update(fields))


def committed(spoil):
    def change(folder):
        """Sign another commitment, and a nonce for it, as an issuer would."""
        reseal(folder, "commitment", spoil)
        signed = writer.read_envelope(folder, file_format.COMMITMENT, "commitment")
        named = sha256(signed.content)
        reseal(folder, "nonce", lambda body: body.update(commitment=named))

    return change


def last(change):
    return lambda folder: reseal(folder, "transcript", change)


def state(**tensors):
    """Replace a checkpoint by other tensors, with fitting digests."""

    def change(folder):
        content = encode({"step": np.array(24, np.int32)} | tensors)
        signed(folder, content)

    return change


def signed(folder, content):
    (folder / LAST).write_bytes(content)

    def change(body):
        digest = sha256(content)
        body["checkpoints"][-1].update(sha256=digest, size=len(content))

    reseal(folder, "transcript", change)


def not_finite(folder):
    from safetensors.numpy import load

    tensors = load((folder / LAST).read_bytes())
    tensors["params.layer0.bias"] = tensors["params.layer0.bias"] * np.nan
    signed(folder, encode(tensors))


def negative(folder):
    from safetensors.numpy import load

    tensors = load((folder / LAST).read_bytes())
    tensors["nu.layer0.bias"] = -np.ones_like(tensors["nu.layer0.bias"])
    signed(folder, encode(tensors))


BOMB = b"\x1f\x8b\x08" + bytes(1000)
PICKLE = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R." * 400
HIDDEN = b'["]",' * 700 + b"0" + b"]" * 700
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000

HARM = {
    "a file is missing": (lambda f: (f / LAST).unlink(), "No such file"),
    "a link": (linked, "cannot be read"),
    "a folder that is a link": (linked_folder, "cannot be read"),
    "a pipe": (pipe, "no regular file"),
    "a hole": (hole, "has more than"),
    "no envelope": (replaced("transcript.dsse.json", b"{}"), "no signed envelope"),
    "deep JSON": (replaced("transcript.dsse.json", DEEP), "nested deeper"),
    "depth behind texts": (replaced("commitment.dsse.json", HIDDEN), "nested deeper"),
    "a zip bomb": (replaced("transcript.dsse.json", BOMB), "no canonical JSON"),
    "a pickle": (replaced("commitment.dsse.json", PICKLE), "no canonical JSON"),
    "other bytes": (replaced(LAST, PICKLE), "has more than"),
    "other data": (replaced(file_format.RECORDS, bytes(650)), "not those that were"),
    "a signed pickle": (lambda f: signed(f, PICKLE), "larger|whole number|header"),
    "signed NaN": (not_finite, "not finite"),
    "negative squares": (negative, "squares that are negative"),
    "other tensors": (
        state(x=np.zeros(1600, np.float32)),
        "other tensors than the model|whole number",
    ),
    "a path": (spec(model="../../etc/passwd"), "none of those that are known"),
    "code": (spec(model="os:system"), "none of those that are known"),
    "a field too many": (spec(records="x"), "other entries"),
    "a text for a number": (spec(batch="16"), "expected a whole number"),
    "a truth for a number": (spec(batch=True), "expected a whole number"),
    "not a number": (spec(lr="nan"), "expected a finite hexadecimal"),
    "a million wide": (spec(channels=10**6), "channels 1000000: expected"),
    "another batch": (spec(batch=15), "belongs to another commitment"),
    "a nonce for others": (
        lambda f: reseal(f, "nonce", lambda b: b.update(commitment="0" * 64)),
        "issued for another commitment",
    ),
    "a nonce of its own": (
        lambda f: reseal(
            f,
            "nonce",
            lambda b: b.update(issuer=load_key("prover").name),
            load_key("prover"),
        ),
        "issued its own nonce",
    ),
    "another order": (last(lambda b: b.update(order="0" * 64)), "order of the data"),
    "another root": (last(lambda b: b.update(root="0" * 64)), "root of the check"),
    "no checkpoints": (last(lambda b: b.update(checkpoints=[])), "other checkpoints"),
    "an odd step": (
        last(lambda b: b["checkpoints"][1].update(step=7)),
        "other checkpoints",
    ),
    "an endless checkpoint": (
        last(lambda b: b["checkpoints"][1].update(size=1 << 52)),
        "larger than its tensors",
    ),
    "a long name": (
        last(lambda b: b["environments"][0].update(layout="x" * 10_000)),
        "environments are malformed",
    ),
    "an environment of none": (
        last(lambda b: b["checkpoints"][1].update(environment=1)),
        "none of those told",
    ),
    "another version": (
        committed(lambda b: b.update(task="provenance 2")),
        "another task than provenance 1",
    ),
}


@pytest.mark.parametrize("name", HARM)
def test_a_hostile_transcript_is_refused_with_a_reason(name, honest, judge, tmp_path):
    spoil, says = HARM[name]
    spoil(honest)
    before = set(tmp_path.rglob("*"))
    result = judge(honest)
    assert result.verdict == "REJECT" and not result.replays
    (reason,) = result.reasons
    assert any(part in reason for part in says.split("|"))
    assert len(reason) < 200 and reason.isprintable()
    made = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*")}
    assert made <= {p.relative_to(tmp_path).parts[0] for p in before} | {"work"}


@pytest.mark.parametrize(
    "fields",
    [
        {"channels": 1024, "layers": 24, "batch": 4096},
        {"batch": 4096, "segment": 100_000, "train": 1_000_000},
    ],
)
def test_a_replay_that_exhausts_memory_or_time_is_not_started(honest, judge, fields):
    spec(**fields)(honest)
    result = judge(honest)
    assert result.verdict == "INCONCLUSIVE" and "the limit is" in result.reasons[0]
    assert not result.moves


def test_a_report_is_written_through_no_link(honest, tmp_path):
    """An archive may hold a false report beside the transcript."""
    mine, theirs = tmp_path / "mine", honest.with_name("transcript-report")
    mine.write_text("precious")
    theirs.mkdir()
    for name in ("report.dsse.json", "report.nc", "report.png", "records.bin"):
        (theirs / name).symlink_to(mine)
    assert verbs.verify(honest, on="here", points=0).status == 0
    assert mine.read_text() == "precious"
    assert not (theirs / "report.dsse.json").is_symlink()
    other = tmp_path / "other"
    other.symlink_to(tmp_path)
    for wrong in (other, honest):
        with pytest.raises(hs.RequestError, match="a folder of the verifier's own"):
            verbs.verify(honest, on="here", report=wrong)


# -- mutated inputs --------------------------------------------------------------------


def mutated(content, draw):
    """Flip, drop, repeat or insert some bytes."""
    result = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(max(1, len(result)))
        match draw.randrange(5):
            case 0:
                result[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del result[at : at + draw.randint(1, 40)]
            case 2:
                result[at:at] = result[at : at + draw.randint(1, 40)]
            case 3:
                result[at:at] = draw.choice([b"[", b"{", b'"', b"-", b"1e9", b"\x00"])
            case _:
                del result[at:]
    return bytes(result)


def survives(read, content):
    """True if the content was accepted; any exception but a refusal is raised."""
    try:
        read(content)
    except Refused as refusal:
        assert "\n" not in str(refusal) and len(str(refusal)) < 200
        return False
    return True


def test_four_thousand_mutated_checkpoints_are_refused_or_the_same(trained):
    content = (trained / LAST).read_bytes()
    task = writer.committed_task(TASK, trained)
    types = tensor_types(file_format.initial_tensors(task))
    draw, taken = random.Random(0), 0
    head = 8 + int.from_bytes(content[:8], "little")
    for _ in range(4_000):
        edge = draw.choice([head, len(content)])
        other = mutated(content[:edge], draw) + content[edge:]
        taken += survives(lambda c: decode(c, types, "it"), other)
    assert taken < 2_000  # changed numbers are numbers: their digest is another


@pytest.mark.parametrize("kind", ["commitment", "nonce", "transcript"])
def test_two_thousand_mutated_envelopes_are_refused(trained, kind):
    content = (trained / f"{kind}.dsse.json").read_bytes()
    draw = random.Random(1)
    for _ in range(2_000):
        other = mutated(content, draw)
        if other != content:
            assert not survives(lambda c: open_envelope(c, kind, "it"), other)


@pytest.mark.slow
def test_a_thousand_transcripts_that_were_signed_wrong_are_refused(honest, tmp_path):
    """Values of a body are exchanged, and it is signed again."""
    draw = random.Random(2)
    bodies = {
        kind: writer.read_envelope(honest, f"{kind}.dsse.json", kind)
        for kind in ("commitment", "nonce", "transcript")
    }
    odd = [None, True, -1, 0, 1 << 52, "", "0" * 64, "x", [], {}, [[]], "0x1p-3"]
    for _ in range(1_000):
        kind = draw.choice([*bodies])
        body = json.loads(bodies[kind].content)
        spoil(body, draw, odd)
        role = "verifier" if kind == "nonce" else "prover"
        path = honest / f"{kind}.dsse.json"
        kept = path.read_bytes()
        path.write_bytes(seal(body, kind, load_key(role)))
        claimed = body.pop("environments", None)  # may be any short texts
        before = json.loads(bodies[kind].content)
        free = before.pop("environments", None) != claimed and before == body
        if before != body or (free and not texts(claimed)):
            with pytest.raises((Refused, OverBudget)):
                claims = read_transcript(honest, tmp_path / "copy", None, UNLIMITED)
                for step in claims.entries:
                    claims.state(step)
                raise AssertionError("it was accepted")
        path.write_bytes(kept)


def spoil(value, draw, odd):
    """Replace or remove one value somewhere inside, or add one."""
    while True:
        key = draw.choice([*value] if isinstance(value, dict) else range(len(value)))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and draw.random() < 0.8:
            value = inner
            continue
        match draw.randrange(3):
            case 0 if isinstance(value, dict):
                del value[key]
            case 1 if isinstance(value, dict):
                value["more"] = draw.choice(odd)
            case _:
                value[key] = draw.choice(odd)
        return


def texts(claimed):
    """True if a table of environments is well-formed."""
    if not isinstance(claimed, list) or not claimed:
        return False
    names = {"layout", "fingerprint"}
    named = all(isinstance(one, dict) and set(one) == names for one in claimed)
    return named and all(isinstance(t, str) for one in claimed for t in one.values())
