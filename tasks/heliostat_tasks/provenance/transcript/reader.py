"""Reading of a stranger's transcript: every file once, no further than its limit.

Files are opened one folder at a time, never through a link, under names that follow
from numbers. Their bytes are hashed in memory before they are parsed, so a file that
changes on disk meanwhile cannot replace the one that was checked.

The order of the checks: :mod:`.signing` opens the envelopes, :mod:`.commitment` builds
the task, :mod:`.checkpoints` checks the tables, :mod:`.tensors` reads each state.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heliostat.kernels import merkle
from heliostat_tasks.provenance.canonical import MAX_JSON, Refused, sha256
from heliostat_tasks.provenance.cost import UNLIMITED, ReplayBudget
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript.checkpoints import (
    Entries,
    check_entries,
    check_environments,
)
from heliostat_tasks.provenance.transcript.commitment import (
    check_nonce_envelope,
    rebuild_task,
)
from heliostat_tasks.provenance.transcript.file_format import (
    COMMITMENT,
    LOG,
    LOG_ENTRY,
    NONCE,
    TRANSCRIPT,
    Tensors,
    checkpoint_name,
    initial_tensors,
)
from heliostat_tasks.provenance.transcript.files import read_file
from heliostat_tasks.provenance.transcript.schema import check_table
from heliostat_tasks.provenance.transcript.signing import SignedBody, open_envelope
from heliostat_tasks.provenance.transcript.tensors import (
    TensorTypes,
    decode,
    state_digest,
    tensor_types,
)


class Transcript(NamedTuple):
    """Claims of a transcript, consistent with its digests and signatures."""

    folder: Path
    task: Provenance  # with the verifier's copy of the records
    records: dict[str, Any]  # their count, root and digest, as committed
    prover: str
    nonce: dict[str, Any]
    entries: Entries  # entries of checkpoints, by step
    types: TensorTypes
    log: np.ndarray  # (train,) of LOG_ENTRY
    environments: list[tuple[str, str]]  # layout and fingerprint of each segment
    digest: str  # digest of the body that was signed last

    def state(self, step: int) -> Tensors:
        """Read a checkpoint, and check it against its digests.

        Raises:
            Refused: if it is not the signed file, or not a state of this model.
        """
        name, entry = checkpoint_name(step), self.entries[step]
        content = read_file(self.folder, name, entry["size"])
        if len(content) != entry["size"] or sha256(content) != entry["sha256"]:
            raise Refused(f"{name} is not what was signed")
        state = decode(content, self.types, name)
        if any((a < 0).any() for n, a in state.items() if n.startswith("nu.")):
            raise Refused(f"{name} has squares that are negative")
        if state_digest(state).hex() != entry["state"]:
            raise Refused(f"{name}: the digest of the state is wrong")
        if int(state["step"]) != step:
            raise Refused(f"{name} is the state of another step")
        return state


def read_transcript(
    folder: Path,
    copy: Path,
    trusted: str | None = None,
    budget: ReplayBudget = UNLIMITED,
) -> Transcript:
    """Read and check everything but the checkpoints; hashing takes the longest.

    Args:
        folder: the stranger's.
        copy: file of the verifier's own, which receives the records.
        trusted: the prover's public key, if it is known from elsewhere.
        budget: limits of a replay.

    Raises:
        Refused: naming the first contradiction.
        OverBudget: if a replay would exceed the budget.
    """
    commitment = _envelope(folder, COMMITMENT, "commitment")
    if trusted and commitment.signer != trusted:
        raise Refused("the commitment was signed with another key than the trusted one")
    nonce = _envelope(folder, NONCE, "nonce")
    last = _envelope(folder, TRANSCRIPT, "transcript")
    if last.signer != commitment.signer:
        raise Refused("commitment and transcript were signed with different keys")
    digits = check_nonce_envelope(nonce, commitment)
    task = rebuild_task(commitment, digits, folder, copy, budget)
    return _check_bindings(folder, task, _Envelopes(commitment, nonce, last))


def envelope_digest(folder: Path) -> str:
    """SHA-256 of the last envelope, unchecked; of no bytes if it is missing."""
    try:
        return sha256(read_file(folder, TRANSCRIPT, MAX_JSON))
    except Refused:
        return sha256(b"")


class _Envelopes(NamedTuple):
    """The three envelopes of a transcript."""

    commitment: SignedBody
    nonce: SignedBody
    last: SignedBody


def _envelope(folder: Path, name: str, kind: str) -> SignedBody:
    return open_envelope(read_file(folder, name, MAX_JSON), kind, name)


def _check_bindings(
    folder: Path, task: Provenance, envelopes: _Envelopes
) -> Transcript:
    """Check the last envelope against the seed and against all earlier digests."""
    body = _check_chain(envelopes)
    if body["order"] != task.order_digest:
        raise Refused("the order of the data is not the one that the seed gives")
    start = initial_tensors(task)
    types = tensor_types(start)
    entries = check_entries(body["checkpoints"], task, types)
    leaves = [bytes.fromhex(entry["state"]) for entry in entries.values()]
    if merkle.root(leaves).hex() != body["root"]:
        raise Refused("the root of the checkpoints is wrong")
    if entries[0]["state"] != state_digest(start).hex():
        raise Refused("the initial weights are not those that the seed gives")
    return Transcript(
        folder,
        task,
        envelopes.commitment.body["records"],
        envelopes.commitment.signer,
        envelopes.nonce.body,
        entries,
        types,
        _read_log(folder, task, body["log"]),
        check_environments(body["environments"], entries),
        sha256(envelopes.last.content),
    )


def _check_chain(envelopes: _Envelopes) -> dict[str, Any]:
    """Return the body of the last envelope, if it names the others and its signer."""
    names = {"checkpoints", "commitment", "environments", "log", "nonce"}
    names |= {"order", "prover", "root"}
    body = check_table(envelopes.last.body, names, TRANSCRIPT)
    if body["commitment"] != sha256(envelopes.commitment.content):
        raise Refused("the transcript belongs to another commitment")
    if body["nonce"] != sha256(envelopes.nonce.content):
        raise Refused("the transcript belongs to another nonce")
    if body["prover"] != envelopes.last.signer:
        raise Refused("the transcript names another key than the one it has")
    return body


def _read_log(folder: Path, task: Provenance, digest: Any) -> np.ndarray:
    content = read_file(folder, LOG, task.train * LOG_ENTRY.itemsize)
    if sha256(content) != digest or len(content) % LOG_ENTRY.itemsize:
        raise Refused("the log is not what was signed")
    log = np.frombuffer(content, LOG_ENTRY)
    if len(log) != task.train or not np.isfinite(log["loss"]).all():
        raise Refused("the log has other than one finite loss per step")
    return log
