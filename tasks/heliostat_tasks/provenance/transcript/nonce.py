"""Issuing of nonces: a verifier's answer to a commitment, which determines the seed."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat_tasks.provenance.canonical import sha256
from heliostat_tasks.provenance.transcript.file_format import NONCE_BYTES
from heliostat_tasks.provenance.transcript.signing import (
    KeyPair,
    SignedBody,
    keys_folder,
    open_envelope,
    seal,
)


def issue_nonce(envelope: bytes, key: KeyPair, log: Path | None = None) -> bytes:
    """Draw a nonce for a commitment and sign it; a repeated request gets the same one.

    ``sequence`` counts the commitments of the same prover or to the same data: it says
    among how many seeds the prover could choose.

    Args:
        envelope: envelope of the commitment.
        key: the issuer's.
        log: lines of all issued nonces; default beside the keys.

    Returns:
        The envelope of the nonce.
    """
    commitment = open_envelope(envelope, "commitment", "the commitment")
    log = log or keys_folder() / "issued.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    root = _claimed_root(commitment.body)
    related = [
        entry
        for entry in map(json.loads, lines)
        if entry["prover"] == commitment.signer or entry.get("root") == root
    ]
    digest = sha256(commitment.content)
    body = next((entry for entry in related if entry["commitment"] == digest), None)
    if body is None:
        body = _draw(commitment, key, len(related) + 1)
        _append(log, body | {"root": root})
    return seal({n: v for n, v in body.items() if n != "root"}, "nonce", key)


def _draw(commitment: SignedBody, key: KeyPair, sequence: int) -> dict[str, Any]:
    return {
        "commitment": sha256(commitment.content),
        "issued": int(time.time()),
        "issuer": key.name,
        "nonce": secrets.token_hex(NONCE_BYTES),
        "prover": commitment.signer,
        "sequence": sequence,
    }


def _append(log: Path, entry: Mapping[str, Any]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("a") as stream:
        stream.write(json.dumps(entry, sort_keys=True) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _claimed_root(commitment: Mapping[str, Any]) -> str:
    """The root that a commitment claims for its data; the verifier checks it later."""
    records = commitment.get("records")
    return str(records.get("root")) if isinstance(records, dict) else ""
