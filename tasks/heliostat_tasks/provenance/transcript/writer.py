"""Writing of a transcript: the commitment first, everything else after the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import heliostat as hs
from heliostat.kernels import merkle
from heliostat_tasks.provenance import corpus
from heliostat_tasks.provenance.canonical import sha256, to_json
from heliostat_tasks.provenance.cost import MAX_DATA
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript.file_format import (
    COMMITMENT,
    LOG,
    LOG_ENTRY,
    NONCE,
    PROTOCOL,
    RECORDS,
    TRANSCRIPT,
    Tensors,
    checkpoint_name,
    checkpoint_steps,
    initial_tensors,
)
from heliostat_tasks.provenance.transcript.files import write_file
from heliostat_tasks.provenance.transcript.signing import (
    KeyPair,
    SignedBody,
    open_envelope,
    seal,
)
from heliostat_tasks.provenance.transcript.tensors import encode, state_digest


def commit(task: Provenance, records: bytes, out: Path, key: KeyPair) -> Provenance:
    """Write and sign data and fields, before the seed can be known.

    Args:
        task: the training; its records are replaced.
        records: bytes of the records.
        out: folder of the transcript.
        key: the prover's.

    Returns:
        The task, with its records in the folder.

    Raises:
        RequestError: for too many bytes.
    """
    if len(records) > MAX_DATA:
        raise hs.RequestError(
            f"{len(records)} bytes of records: expected at most {MAX_DATA}"
        )
    write_file(out / RECORDS, records)
    task = replace(task, records=hs.File(out / RECORDS))
    data = task.data  # checks the records
    body = {
        "prover": key.name,
        "records": {
            "count": len(data),
            "root": corpus.merkle_root(data).hex(),
            "sha256": sha256(records),
        },
        "spec": task.spec,
        "task": PROTOCOL,
    }
    write_file(out / COMMITMENT, seal(body, "commitment", key))
    return task


def committed_task(task: Provenance, out: Path) -> Provenance:
    """Complete a task by the records and the nonce of a folder.

    Raises:
        RequestError: if the folder holds a commitment to other fields.
    """
    spec = read_envelope(out, COMMITMENT, "commitment").body["spec"]
    if to_json(task.spec) != to_json(spec):
        raise hs.RequestError(
            f"{out} holds a commitment to other fields; give the same ones, or another "
            "folder"
        )
    nonce = read_envelope(out, NONCE, "nonce").body["nonce"]
    return replace(task, records=hs.File(out / RECORDS), nonce=nonce)


def export(run: hs.Run, out: Path, key: KeyPair) -> None:
    """Write a finished run as a transcript.

    Args:
        run: run of provenance.
        out: folder with commitment and nonce.
        key: the prover's.

    Raises:
        RequestError: for an unfinished run, or one of another task.
    """
    task = run.task
    if not isinstance(task, Provenance) or run.steps < task.train:
        raise hs.RequestError(f"run {run.id}: expected a finished run of provenance")
    states = {step: _stored(run, step) for step in checkpoint_steps(task)[1:]}
    states[0] = initial_tensors(task)
    rows = run.rows.isel(step=slice(0, task.train)).load()
    log = np.zeros(task.train, LOG_ENTRY)
    log["loss"], log["checksum"] = rows.loss.values, rows.checksum.values
    publish(task, states, log, environments(run, task), out, key)


def environments(run: hs.Run, task: Provenance) -> list[tuple[str, str]]:
    """Layout and fingerprint of each segment: a resumed run may change machines."""
    commits = [e for e in run.events() if e["event"] == "committed"]
    by_step = {
        step: (e["layout"], e["environment"])
        for e in commits
        for step in range(e["start"] + 1, e["stop"] + 1)
    }
    return [by_step[step] for step in checkpoint_steps(task)[1:]]


def publish(
    task: Provenance,
    states: Mapping[int, Tensors],
    log: np.ndarray,
    environments: Sequence[tuple[str, str]],
    out: Path,
    key: KeyPair,
) -> None:
    """Write checkpoints and log beside the commitment, and sign their digests.

    Args:
        task: the training, with its nonce.
        states: tensors by step, of each checkpoint.
        log: (train,) of ``LOG_ENTRY``.
        environments: layout and fingerprint of each segment.
        out: folder with commitment and nonce.
        key: the prover's.
    """
    table = sorted(set(environments))
    numbers = [table.index(where) for where in [table[0], *environments]]
    entries = [
        _write_checkpoint(out, step, states[step], number)
        for step, number in zip(checkpoint_steps(task), numbers, strict=True)
    ]
    write_file(out / LOG, log.tobytes())
    body = {
        "checkpoints": entries,
        "commitment": sha256(read_envelope(out, COMMITMENT, "commitment").content),
        "environments": [{"fingerprint": f, "layout": at} for at, f in table],
        "log": sha256(log.tobytes()),
        "nonce": sha256(read_envelope(out, NONCE, "nonce").content),
        "order": task.order_digest,
        "prover": key.name,
        "root": merkle.root([bytes.fromhex(e["state"]) for e in entries]).hex(),
    }
    write_file(out / TRANSCRIPT, seal(body, "transcript", key))


def _write_checkpoint(
    out: Path, step: int, state: Tensors, environment: int
) -> dict[str, Any]:
    """Write a checkpoint, and return its entry of the signed table."""
    content = encode(state)
    write_file(out / checkpoint_name(step), content)
    return {
        "environment": environment,
        "sha256": sha256(content),
        "size": len(content),
        "state": state_digest(state).hex(),
        "step": step,
    }


def _stored(run: hs.Run, step: int) -> Tensors:
    """Tensors of a run at a kept step; its runs have one replica."""
    return {n: a[0] for n, a in run.record.checkpoints.load(0, step).items()}


def read_envelope(out: Path, name: str, kind: str) -> SignedBody:
    """Read an envelope of this machine's own folder."""
    return open_envelope((out / name).read_bytes(), kind, name)
