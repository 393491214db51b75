"""Who says so: Ed25519 signatures over DSSE envelopes, and where keys are kept.

    signed text = "DSSEv1" ‖ len(type) ‖ type ‖ len(body) ‖ body      (PAE)

Keys are files that only their owner can read, in ``$HELIOSTAT_KEYS`` (default
``~/.config/heliostat/keys``); they are made when first needed, and never enter a
transcript, a store or a log.

Reference: Dead Simple Signing Envelope v1.0, protocol.md.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

import heliostat as hs
from heliostat_tasks.provenance.transcript.formats import Refused, canonical, parsed

TYPE = "application/vnd.heliostat.provenance.{}.v1+json"
IN_TOTO = "application/vnd.in-toto+json"


class Key(NamedTuple):
    """A pair of keys; the public one is its name."""

    private: Ed25519PrivateKey

    @property
    def name(self) -> str:
        """The public key, 64 hexadecimal digits."""
        return self.private.public_key().public_bytes_raw().hex()


class Signed(NamedTuple):
    """What an envelope says, and whose key it was signed with."""

    body: dict[str, Any]
    signer: str
    content: bytes  # of the body, as it was signed


def fresh_key() -> Key:
    """A key that nobody else has, and that is kept nowhere."""
    return Key(Ed25519PrivateKey.generate())


def own_key(role: str) -> Key:
    """The key of a prover or a verifier on this machine, made if there is none.

    Raises:
        RequestError: if it cannot be read or written.
    """
    path = keys_folder() / f"{role}.key"
    try:
        if not path.exists():
            _keep(path, fresh_key().private.private_bytes_raw().hex())
        raw = bytes.fromhex(path.read_text().strip())
        return Key(Ed25519PrivateKey.from_private_bytes(raw))
    except OSError as error:
        reason = error.strerror or error
        raise hs.RequestError(f"the key {path} cannot be used: {reason}") from error
    except ValueError as error:
        raise hs.RequestError(
            f"the key {path} is damaged: expected 64 hexadecimal digits"
        ) from error


def keys_folder() -> Path:
    given = os.environ.get("HELIOSTAT_KEYS")
    return Path(given or Path.home() / ".config" / "heliostat" / "keys").expanduser()


def _keep(path: Path, text: str) -> None:
    """Write a file that others cannot read, or find that somebody just did."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as stream:
        stream.write(text + "\n")


def sealed(body: Any, kind: str, key: Key) -> bytes:
    """An envelope over the canonical JSON of ``body``."""
    content, kind = canonical(body), _typed(kind)
    signature = key.private.sign(_pae(kind, content))
    envelope = {
        "payload": base64.b64encode(content).decode(),
        "payloadType": kind,
        "signatures": [
            {"keyid": key.name, "sig": base64.b64encode(signature).decode()}
        ],
    }
    return canonical(envelope)


def opened(envelope: bytes, kind: str, what: str) -> Signed:
    """The body of an envelope, read only after its signature was found good.

    Whose key it is is for the caller to judge: ``signer`` is whoever signed.

    Raises:
        Refused: for another type, no signature, more than one, or one that is wrong.
    """
    outer = parsed(envelope, what)
    try:
        (one,) = outer["signatures"]
        signer, signature = bytes.fromhex(one["keyid"]), _unbase(one["sig"])
        content, said = _unbase(outer["payload"]), outer["payloadType"]
        names = (set(outer), set(one))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{what} is no signed envelope") from error
    wanted = ({"payload", "payloadType", "signatures"}, {"keyid", "sig"})
    if names != wanted or said != _typed(kind):
        raise Refused(f"{what} is no signed envelope of the type expected")
    try:
        Ed25519PublicKey.from_public_bytes(signer).verify(
            signature, _pae(said, content)
        )
    except (InvalidSignature, ValueError) as error:
        raise Refused(f"{what}: the signature is wrong") from error
    body = parsed(content, what)
    if not isinstance(body, dict):
        raise Refused(f"{what} holds no table")
    return Signed(body, signer.hex(), content)


def _typed(kind: str) -> str:
    return IN_TOTO if kind == "report" else TYPE.format(kind)


def _unbase(text: Any) -> bytes:
    """Base64 in its one spelling: the last digit may hold bits that mean nothing."""
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("another spelling of the same bytes")
    return found


def _pae(kind: str, body: bytes) -> bytes:
    head = f"DSSEv1 {len(kind.encode())} {kind} {len(body)} "
    return head.encode() + body
