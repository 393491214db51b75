"""Writing a transcript: what is committed, what the nonce answers, what came out.

    commitment.dsse.json     data and fields, signed by the prover: before the seed
    nonce.dsse.json          a nonce for it, signed by the issuer: makes the seed
    data/records.bin         what was committed
    ckpt/000025.safetensors  weights and both moments, float32, after each segment
    log/steps.bin            loss and checksums of every step
    transcript.dsse.json     digests of all of it, signed by the prover: at the end

Names of files follow from numbers of steps; nothing in a transcript says where to read.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import heliostat as hs
from heliostat.kernels import merkle
from heliostat_tasks.provenance import corpus, models
from heliostat_tasks.provenance.cost import MOST_DATA
from heliostat_tasks.provenance.task import Provenance, digest
from heliostat_tasks.provenance.transcript.formats import (
    canonical,
    packed,
    sha256,
    state_digest,
)
from heliostat_tasks.provenance.transcript.signing import (
    Key,
    Signed,
    keys_folder,
    opened,
    sealed,
)

COMMITMENT, NONCE = "commitment.dsse.json", "nonce.dsse.json"
TRANSCRIPT = "transcript.dsse.json"
RECORDS, LOG = "data/records.bin", "log/steps.bin"
NONCE_BYTES = 32

PROTOCOL = f"provenance {Provenance.task_version}"
"""What a commitment is to; another version of it would train otherwise."""

LOGGED = np.dtype([("loss", "<f4"), ("checksum", "<u4", (2,))])
"""One entry of the log."""

Tensors = Mapping[str, np.ndarray]


def checkpoint(step: int) -> str:
    """The name of the checkpoint after a step."""
    return f"ckpt/{step:06d}.safetensors"


def stops(task: Provenance) -> list[int]:
    """Steps with a checkpoint: 0, the end of every segment, and the last."""
    return [*range(0, task.train, task.segment), task.train]


def commit(task: Provenance, records: bytes, out: Path, key: Key) -> Provenance:
    """Write down what will be trained on, and how, before the seed can be known.

    Returns:
        The task, with its records where they now are.
    """
    if len(records) > MOST_DATA:
        raise hs.RequestError(
            f"{len(records)} bytes of records: expected at most {MOST_DATA}"
        )
    write(out / RECORDS, records)
    task = replace(task, records=hs.File(out / RECORDS))
    data = task.data  # refuses what are no records
    body = {
        "prover": key.name,
        "records": {
            "count": len(data),
            "root": corpus.root_of(data).hex(),
            "sha256": sha256(records),
        },
        "spec": task.spec,
        "task": PROTOCOL,
    }
    write(out / COMMITMENT, sealed(body, "commitment", key))
    return task


def issue(envelope: bytes, key: Key, log: Path | None = None) -> bytes:
    """A nonce for a commitment, signed; asked again, the same one.

    So asking again yields no other seed, and other commitments of the same prover, or
    to the same data, are counted: ``sequence`` says of how many seeds it could choose.

    Args:
        log: lines of what was issued so far; default beside the keys.
    """
    given = opened(envelope, "commitment", "the commitment")
    log = log or keys_folder() / "issued.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    issued = [json.loads(line) for line in lines]
    named = sha256(given.content)
    root = _root(given.body)
    mine = [
        one
        for one in issued
        if one["prover"] == given.signer or one.get("root") == root
    ]
    body = next((one for one in mine if one["commitment"] == named), None)
    if body is None:
        body = {
            "commitment": named,
            "issued": int(time.time()),
            "issuer": key.name,
            "nonce": secrets.token_hex(NONCE_BYTES),
            "prover": given.signer,
            "sequence": len(mine) + 1,
        }
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("a") as stream:
            stream.write(json.dumps(body | {"root": root}, sort_keys=True) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    return sealed({n: v for n, v in body.items() if n != "root"}, "nonce", key)


def _root(commitment: Mapping[str, Any]) -> str:
    """What a commitment says of its data; whether it is true the verifier finds out."""
    records = commitment.get("records")
    return str(records.get("root")) if isinstance(records, dict) else ""


def committed(task: Provenance, out: Path) -> Provenance:
    """The training that a folder holds a commitment and a nonce for.

    Raises:
        RequestError: if it was another one that was committed.
    """
    spec = contents(out, COMMITMENT, "commitment").body["spec"]
    if canonical(task.spec) != canonical(spec):
        raise hs.RequestError(
            f"{out} holds a commitment to other fields; give the same ones, or another "
            "folder"
        )
    nonce = contents(out, NONCE, "nonce").body["nonce"]
    return replace(task, records=hs.File(out / RECORDS), nonce=nonce)


def export(run: hs.Run, out: Path, key: Key) -> None:
    """A finished run as a transcript: its record, in a form that executes nothing.

    Raises:
        RequestError: if the run has not come to its end.
    """
    task = run.task
    if not isinstance(task, Provenance) or run.steps < task.train:
        raise hs.RequestError(f"run {run.id}: expected a finished run of provenance")
    states = {step: stored(run, step) for step in stops(task)[1:]}
    rows = run.rows.isel(step=slice(0, task.train)).load()
    log = np.zeros(task.train, LOGGED)
    log["loss"], log["checksum"] = rows.loss.values, rows.checksum.values
    publish(task, {0: first(task)} | states, log, environments(run, task), out, key)


def environments(run: hs.Run, task: Provenance) -> list[tuple[str, str]]:
    """Layout and fingerprint of where each segment was computed: a run may move."""
    commits = [e for e in run.events() if e["event"] == "committed"]
    where = {
        step: (e["layout"], e["environment"])
        for e in commits
        for step in range(e["start"] + 1, e["stop"] + 1)
    }
    return [where[step] for step in stops(task)[1:]]


def publish(
    task: Provenance,
    states: Mapping[int, Tensors],
    log: np.ndarray,
    environments: Sequence[tuple[str, str]],
    out: Path,
    key: Key,
) -> None:
    """Write checkpoints and log beside the commitment, and sign what they are."""
    known, entries = sorted(set(environments)), []
    for step, where in zip(stops(task), [known[0], *environments], strict=True):
        content = packed(states[step])
        write(out / checkpoint(step), content)
        entries.append(
            {
                "environment": known.index(where),
                "sha256": sha256(content),
                "size": len(content),
                "state": state_digest(states[step]).hex(),
                "step": step,
            }
        )
    write(out / LOG, log.tobytes())
    body = {
        "checkpoints": entries,
        "commitment": sha256(contents(out, COMMITMENT, "commitment").content),
        "environments": [{"fingerprint": f, "layout": at} for at, f in known],
        "log": sha256(log.tobytes()),
        "nonce": sha256(contents(out, NONCE, "nonce").content),
        "order": digest(task),
        "prover": key.name,
        "root": merkle.root([bytes.fromhex(e["state"]) for e in entries]).hex(),
    }
    write(out / TRANSCRIPT, sealed(body, "transcript", key))


def first(task: Provenance) -> dict[str, np.ndarray]:
    """The state before the first step, as its checkpoint."""
    start = models.start(task, task.seed)
    tensors = {"step": np.zeros((), np.int32)}
    tensors |= {f"params.{name}": value for name, value in start.items()}
    for moment in ("mu", "nu"):
        tensors |= {f"{moment}.{n}": np.zeros_like(v) for n, v in start.items()}
    return tensors


def stored(run: hs.Run, step: int) -> dict[str, np.ndarray]:
    """The state of a run at a kept step, by name; runs of it have one replica."""
    return {n: a[0] for n, a in run.record.checkpoints.load(0, step).items()}


def contents(out: Path, name: str, kind: str) -> Signed:
    return opened((out / name).read_bytes(), kind, name)


def write(path: Path, content: bytes) -> None:
    """There with all its bytes, or not there; never through a link that waits there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    os.chmod(partial, 0o644)
    os.replace(partial, path)
