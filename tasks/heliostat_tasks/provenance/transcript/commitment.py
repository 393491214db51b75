"""Checks of a stranger's commitment and nonce: the training that they determine."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import heliostat as hs
from heliostat_tasks.provenance import corpus
from heliostat_tasks.provenance.canonical import Refused, parse_float, sha256
from heliostat_tasks.provenance.cost import ReplayBudget, check_budget
from heliostat_tasks.provenance.models import MODELS
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript.file_format import (
    COMMITMENT,
    NONCE,
    NONCE_BYTES,
    PROTOCOL,
    RECORDS,
)
from heliostat_tasks.provenance.transcript.files import read_file
from heliostat_tasks.provenance.transcript.schema import (
    check_hex,
    check_integer,
    check_table,
)
from heliostat_tasks.provenance.transcript.signing import SignedBody


def check_nonce_envelope(nonce: SignedBody, commitment: SignedBody) -> str:
    """Return the nonce, if somebody else than the prover issued it for a commitment.

    Raises:
        Refused: for anything else.
    """
    names = {"commitment", "issued", "issuer", "nonce", "prover", "sequence"}
    body = check_table(nonce.body, names, NONCE)
    if body["commitment"] != sha256(commitment.content):
        raise Refused("the nonce was issued for another commitment")
    if body["issuer"] != nonce.signer or body["prover"] != commitment.signer:
        raise Refused("the nonce names other keys than those it was signed with")
    if nonce.signer == commitment.signer:
        raise Refused("the prover issued its own nonce: it could choose the seed")
    for name in ("issued", "sequence"):
        check_integer(body[name], NONCE, 1)
    return check_hex(body["nonce"], NONCE_BYTES, NONCE)


def rebuild_task(
    commitment: SignedBody, nonce: str, folder: Path, copy: Path, budget: ReplayBudget
) -> Provenance:
    """Build the committed training, from fields in known ranges and a copy of its data.

    Args:
        commitment: its envelope's body.
        nonce: hexadecimal.
        folder: the stranger's.
        copy: file of the verifier's own, which receives the records.
        budget: limits of a replay.

    Raises:
        Refused: for other data, or invalid fields.
        OverBudget: if a replay would exceed the budget.
    """
    names = {"prover", "records", "spec", "task"}
    body = check_table(commitment.body, names, COMMITMENT)
    if body["task"] != PROTOCOL:
        raise Refused(f"the commitment is to another task than {PROTOCOL}")
    claim = check_table(body["records"], {"count", "root", "sha256"}, COMMITMENT)
    if body["prover"] != commitment.signer:
        raise Refused("the commitment names another key than the one it has")
    spec = _check_spec(body["spec"])
    count = check_integer(claim["count"], COMMITMENT, 1)
    try:
        bare = Provenance(**spec)
    except ValueError as error:
        raise Refused(f"the committed fields make no sense: {error}") from error
    check_budget(bare, count, budget)
    _copy_records(folder, copy, count * (bare.length + 1), claim["sha256"])
    try:
        task = replace(bare, records=hs.File(copy), nonce=nonce)
        root = corpus.merkle_root(task.data).hex()
    except ValueError as error:
        raise Refused(f"the committed records make no sense: {error}") from error
    if root != claim["root"] or len(task.data) != claim["count"]:
        raise Refused("the root of the records is not the one that was committed")
    return task


def _copy_records(folder: Path, copy: Path, size: int, digest: Any) -> None:
    records = read_file(folder, RECORDS, size)
    if sha256(records) != digest:
        raise Refused("the records are not those that were committed")
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(records)


def _check_spec(value: Any) -> dict[str, Any]:
    """Return the fields, each of its type; the task itself checks the ranges."""
    types = {f.name: f.type for f in fields(Provenance)}
    expected = {name: types[name] for name in Provenance().spec}
    table = check_table(value, set(expected), "the committed spec")
    spec: dict[str, Any] = {}
    for name, kind in expected.items():
        entry, label = table[name], f"the committed {name}"
        if kind == "float":
            spec[name] = parse_float(entry, label)
        elif kind == "int":
            spec[name] = check_integer(entry, label, 0)
        elif entry in MODELS and isinstance(entry, str):
            spec[name] = entry
        else:
            raise Refused("the committed model is none of those that are known")
    return spec
