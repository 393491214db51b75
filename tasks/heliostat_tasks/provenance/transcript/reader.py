"""Reading a stranger's transcript: every file once, no further than its limit.

Files are opened one folder at a time, never through a link, under names that follow
from numbers; what was read is hashed in memory and only then looked at.  So nothing
that changes on disk meanwhile can be taken for what was checked.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import heliostat as hs
from heliostat.kernels import merkle
from heliostat_tasks.provenance import corpus
from heliostat_tasks.provenance.cost import UNLIMITED, Budget, within
from heliostat_tasks.provenance.models import MODELS
from heliostat_tasks.provenance.task import Provenance, digest
from heliostat_tasks.provenance.transcript.files import read
from heliostat_tasks.provenance.transcript.formats import (
    LONGEST_JSON,
    Refused,
    number,
    sha256,
    state_digest,
    unpacked,
)
from heliostat_tasks.provenance.transcript.signing import Signed, opened
from heliostat_tasks.provenance.transcript.writer import (
    COMMITMENT,
    LOG,
    LOGGED,
    NONCE,
    NONCE_BYTES,
    PROTOCOL,
    RECORDS,
    TRANSCRIPT,
    checkpoint,
    first,
    stops,
)

LAYOUT = re.compile(r"[0-9]{1,4} [a-z]{1,8}( in [0-9]{1,4} processes)?")
"""What a training may have run on, as the platform tells it."""

Shapes = dict[str, tuple[np.dtype, tuple[int, ...]]]


class Transcript(NamedTuple):
    """What a transcript claims, as far as digests and signatures bear it out."""

    folder: Path
    task: Provenance  # with the records where the verifier has its own copy
    records: dict[str, Any]  # their count, root and digest, as committed
    prover: str
    nonce: dict[str, Any]
    entries: dict[int, dict[str, Any]]  # of checkpoints, by step
    shapes: Shapes
    log: np.ndarray  # (train,) of LOGGED
    environments: list[tuple[str, str]]  # layout and fingerprint of each segment
    digest: str  # of the body that was signed last

    def state(self, step: int) -> dict[str, np.ndarray]:
        """A checkpoint, read anew and held against its digests.

        Raises:
            Refused: if it is not what was signed, or not a state of this model.
        """
        name, entry = checkpoint(step), self.entries[step]
        content = read(self.folder, name, entry["size"])
        if len(content) != entry["size"] or sha256(content) != entry["sha256"]:
            raise Refused(f"{name} is not what was signed")
        state = unpacked(content, self.shapes, name)
        if any((a < 0).any() for n, a in state.items() if n.startswith("nu.")):
            raise Refused(f"{name} has squares that are negative")
        if state_digest(state).hex() != entry["state"]:
            raise Refused(f"{name}: the digest of the state is wrong")
        if int(state["step"]) != step:
            raise Refused(f"{name} is the state of another step")
        return state


def transcript(
    folder: Path,
    copy: Path,
    trusted: str | None = None,
    budget: Budget = UNLIMITED,
) -> Transcript:
    """Everything of a transcript but its checkpoints, checked; nothing is computed
    that takes longer than hashing.

    Args:
        folder: the stranger's.
        copy: where the verifier keeps the records, in a folder of its own.
        trusted: the prover's public key, if it is known from elsewhere.
        budget: what replaying one segment may take.

    Raises:
        Refused: naming the first thing that is wrong.
        Beyond: if replaying it would take more.
    """
    commitment = _envelope(folder, COMMITMENT, "commitment")
    if trusted and commitment.signer != trusted:
        raise Refused("the commitment was signed with another key than the trusted one")
    nonce = _envelope(folder, NONCE, "nonce")
    last = _envelope(folder, TRANSCRIPT, "transcript")
    if last.signer != commitment.signer:
        raise Refused("commitment and transcript were signed with different keys")
    task = _task(commitment, _nonce(nonce, commitment), folder, copy, budget)
    signed = _Signed(commitment, nonce, last)
    return _bound(folder, task, signed)


def envelope_digest(folder: Path) -> str:
    """SHA-256 of the last envelope, whatever is in it; of nothing if it is missing."""
    try:
        return sha256(read(folder, TRANSCRIPT, LONGEST_JSON))
    except Refused:
        return sha256(b"")


def _envelope(folder: Path, name: str, kind: str) -> Signed:
    return opened(read(folder, name, LONGEST_JSON), kind, name)


def _nonce(nonce: Signed, commitment: Signed) -> str:
    """The nonce, if it was issued by somebody else for this commitment."""
    names = {"commitment", "issued", "issuer", "nonce", "prover", "sequence"}
    body = _table(nonce.body, names, NONCE)
    if body["commitment"] != sha256(commitment.content):
        raise Refused("the nonce was issued for another commitment")
    if body["issuer"] != nonce.signer or body["prover"] != commitment.signer:
        raise Refused("the nonce names other keys than those it was signed with")
    if nonce.signer == commitment.signer:
        raise Refused("the prover issued its own nonce: it could choose the seed")
    for name in ("issued", "sequence"):
        _whole(body[name], NONCE, 1)
    return _digits(body["nonce"], NONCE_BYTES, NONCE)


def _task(
    commitment: Signed, nonce: str, folder: Path, copy: Path, budget: Budget
) -> Provenance:
    """The training that was committed, of records that were, in known ranges."""
    body = _table(commitment.body, {"prover", "records", "spec", "task"}, COMMITMENT)
    if body["task"] != PROTOCOL:
        raise Refused(f"the commitment is to another task than {PROTOCOL}")
    said = _table(body["records"], {"count", "root", "sha256"}, COMMITMENT)
    if body["prover"] != commitment.signer:
        raise Refused("the commitment names another key than the one it has")
    spec, count = _spec(body["spec"]), _whole(said["count"], COMMITMENT, 1)
    try:
        bare = Provenance(**spec)
    except ValueError as error:
        raise Refused(f"the committed fields make no sense: {error}") from error
    within(bare, count, budget)
    records = read(folder, RECORDS, count * (bare.length + 1))
    if sha256(records) != said["sha256"]:
        raise Refused("the records are not those that were committed")
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(records)
    try:
        task = replace(bare, records=hs.File(copy), nonce=nonce)
        root = corpus.root_of(task.data).hex()
    except ValueError as error:
        raise Refused(f"the committed records make no sense: {error}") from error
    if root != said["root"] or len(task.data) != said["count"]:
        raise Refused("the root of the records is not the one that was committed")
    return task


def _spec(given: Any) -> dict[str, Any]:
    """The fields of a task, each of its own type; the task itself knows the ranges."""
    kinds = {f.name: f.type for f in fields(Provenance)}
    wanted = {name: kinds[name] for name in Provenance().spec}
    spec = _table(given, set(wanted), "the committed spec")
    found: dict[str, Any] = {}
    for name, kind in wanted.items():
        value, what = spec[name], f"the committed {name}"
        if kind == "float":
            found[name] = number(value, what)
        elif kind == "int":
            found[name] = _whole(value, what, 0)
        elif value in MODELS and isinstance(value, str):
            found[name] = value
        else:
            raise Refused("the committed model is none of those that are known")
    return found


class _Signed(NamedTuple):
    """The three envelopes of a transcript."""

    commitment: Signed
    nonce: Signed
    last: Signed


def _bound(folder: Path, task: Provenance, signed: _Signed) -> Transcript:
    """What was signed last, held against all that came before."""
    body = _chained(signed)
    if body["order"] != digest(task):
        raise Refused("the order of the data is not the one that the seed gives")
    start = first(task)
    shapes: Shapes = {n: (a.dtype.newbyteorder("<"), a.shape) for n, a in start.items()}
    entries = _entries(body["checkpoints"], task, shapes)
    leaves = [bytes.fromhex(entry["state"]) for entry in entries.values()]
    if merkle.root(leaves).hex() != body["root"]:
        raise Refused("the root of the checkpoints is wrong")
    if entries[0]["state"] != state_digest(start).hex():
        raise Refused("the initial weights are not those that the seed gives")
    return Transcript(
        folder,
        task,
        signed.commitment.body["records"],
        signed.commitment.signer,
        signed.nonce.body,
        entries,
        shapes,
        _log(folder, task, body["log"]),
        _environments(body["environments"], entries),
        sha256(signed.last.content),
    )


def _chained(signed: _Signed) -> dict[str, Any]:
    """The body of the last envelope, if it names the others and its own signer."""
    names = {"checkpoints", "commitment", "environments", "log", "nonce"}
    names |= {"order", "prover", "root"}
    body = _table(signed.last.body, names, TRANSCRIPT)
    if body["commitment"] != sha256(signed.commitment.content):
        raise Refused("the transcript belongs to another commitment")
    if body["nonce"] != sha256(signed.nonce.content):
        raise Refused("the transcript belongs to another nonce")
    if body["prover"] != signed.last.signer:
        raise Refused("the transcript names another key than the one it has")
    return body


def _log(folder: Path, task: Provenance, named: Any) -> np.ndarray:
    content = read(folder, LOG, task.train * LOGGED.itemsize)
    if sha256(content) != named or len(content) % LOGGED.itemsize:
        raise Refused("the log is not what was signed")
    log = np.frombuffer(content, LOGGED)
    if len(log) != task.train or not np.isfinite(log["loss"]).all():
        raise Refused("the log has other than one finite loss per step")
    return log


def _entries(given: Any, task: Provenance, shapes: Shapes) -> dict[int, Any]:
    """One entry per checkpoint that must be there, none larger than its tensors."""
    wanted, found = stops(task), {}
    if not isinstance(given, list) or len(given) != len(wanted):
        raise Refused("there are other checkpoints than one per segment")
    tensors = sum(k.itemsize * math.prod(shape) for k, shape in shapes.values())
    for step, entry in zip(wanted, given, strict=True):
        names = {"environment", "sha256", "size", "state", "step"}
        entry = _table(entry, names, TRANSCRIPT)
        if entry["step"] != step or isinstance(entry["step"], bool):
            raise Refused("there are other checkpoints than one per segment")
        size = _whole(entry["size"], "the size of a checkpoint", tensors)
        if size > tensors + (1 << 20):
            raise Refused("a checkpoint is larger than its tensors")
        for name in ("sha256", "state"):
            _digits(entry[name], 32, "the digest of a checkpoint")
        found[step] = entry
    return found


def _environments(
    given: Any, entries: dict[int, dict[str, Any]]
) -> list[tuple[str, str]]:
    """Layout and fingerprint of each segment: its checkpoint says which of a table."""
    if not isinstance(given, list) or not given:
        raise Refused("the environments are malformed")
    known = [_environment(one) for one in given]
    which = [entry["environment"] for entry in entries.values()]
    if any(type(i) is not int or not 0 <= i < len(known) for i in which):
        raise Refused("a checkpoint is from an environment that is none of those told")
    return [known[i] for i in which[1:]]


def _environment(given: Any) -> tuple[str, str]:
    body = _table(given, {"fingerprint", "layout"}, "the environment")
    layout, print_ = body["layout"], body["fingerprint"]
    if not isinstance(layout, str) or not LAYOUT.fullmatch(layout):
        raise Refused("the environments are malformed")
    if not isinstance(print_, str) or len(print_) > 64 or not print_.isascii():
        raise Refused("the environments are malformed")
    return layout, print_


def _table(given: Any, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != names:
        raise Refused(f"{what} has other entries than it must")
    return given


def _whole(given: Any, what: str, least: int) -> int:
    if type(given) is not int or given < least:
        raise Refused(f"{what}: expected a whole number of at least {least}")
    return given


def _digits(given: Any, count: int, what: str) -> str:
    """Lower-case hexadecimal digits of so many bytes."""
    whole = isinstance(given, str) and len(given) == 2 * count
    if whole and not set(given) - set("0123456789abcdef"):
        return given
    raise Refused(f"{what}: expected {2 * count} hexadecimal digits")
