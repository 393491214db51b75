"""Ed25519 signatures over DSSE envelopes, and the keys of this machine.

    signed text = "DSSEv1" ‖ len(type) ‖ type ‖ len(body) ‖ body      (PAE)

Keys are files that only their owner can read, in ``$HELIOSTAT_KEYS`` (default
``~/.config/heliostat/keys``). They are made at first use, and never enter a transcript,
a store or a log.

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
from heliostat_tasks.provenance.canonical import Refused, parse_json, to_json

PAYLOAD_TYPE = "application/vnd.heliostat.provenance.{}.v1+json"
IN_TOTO = "application/vnd.in-toto+json"


class KeyPair(NamedTuple):
    """A private key and its public key."""

    private: Ed25519PrivateKey

    @property
    def name(self) -> str:
        """The public key, 64 hexadecimal digits."""
        return self.private.public_key().public_bytes_raw().hex()


class SignedBody(NamedTuple):
    """The body of an envelope, and the public key that signed it."""

    body: dict[str, Any]
    signer: str
    content: bytes  # bytes of the body, as it was signed


def generate_key() -> KeyPair:
    """Generate a key that is stored nowhere."""
    return KeyPair(Ed25519PrivateKey.generate())


def load_key(role: str) -> KeyPair:
    """Load the key of a prover or a verifier on this machine; make one at first use.

    Raises:
        RequestError: if it cannot be read or written.
    """
    path = keys_folder() / f"{role}.key"
    try:
        if not path.exists():
            _store_key(path, generate_key().private.private_bytes_raw().hex())
        raw = bytes.fromhex(path.read_text().strip())
        return KeyPair(Ed25519PrivateKey.from_private_bytes(raw))
    except OSError as error:
        reason = error.strerror or error
        raise hs.RequestError(f"the key {path} cannot be used: {reason}") from error
    except ValueError as error:
        raise hs.RequestError(
            f"the key {path} is damaged: expected 64 hexadecimal digits"
        ) from error


def keys_folder() -> Path:
    """Folder of this machine's keys: ``$HELIOSTAT_KEYS``, else below the home."""
    given = os.environ.get("HELIOSTAT_KEYS")
    return Path(given or Path.home() / ".config" / "heliostat" / "keys").expanduser()


def _store_key(path: Path, text: str) -> None:
    """Write a file that only its owner can read, unless another process just did."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as stream:
        stream.write(text + "\n")


def seal(body: Any, kind: str, key: KeyPair) -> bytes:
    """Sign the canonical JSON of a body.

    Args:
        body: a JSON value.
        kind: commitment, nonce, transcript or report.
        key: the signer's.

    Returns:
        The bytes of an envelope.
    """
    content, payload_type = to_json(body), _payload_type(kind)
    signature = key.private.sign(_signed_text(payload_type, content))
    envelope = {
        "payload": base64.b64encode(content).decode(),
        "payloadType": payload_type,
        "signatures": [
            {"keyid": key.name, "sig": base64.b64encode(signature).decode()}
        ],
    }
    return to_json(envelope)


def open_envelope(envelope: bytes, kind: str, label: str) -> SignedBody:
    """Verify the signature of an envelope, then read its body.

    ``signer`` is the key that signed; to trust it or not is for the caller.

    Args:
        envelope: a stranger's bytes.
        kind: commitment, nonce, transcript or report.
        label: name of the envelope, for messages.

    Raises:
        Refused: for another type, no signature, more than one, or a wrong one.
    """
    outer = parse_json(envelope, label)
    try:
        (signed,) = outer["signatures"]
        signer, signature = bytes.fromhex(signed["keyid"]), _decode(signed["sig"])
        content, payload_type = _decode(outer["payload"]), outer["payloadType"]
        names = (set(outer), set(signed))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{label} is no signed envelope") from error
    expected = ({"payload", "payloadType", "signatures"}, {"keyid", "sig"})
    if names != expected or payload_type != _payload_type(kind):
        raise Refused(f"{label} is no signed envelope of the type expected")
    try:
        text = _signed_text(payload_type, content)
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, text)
    except (InvalidSignature, ValueError) as error:
        raise Refused(f"{label}: the signature is wrong") from error
    body = parse_json(content, label)
    if not isinstance(body, dict):
        raise Refused(f"{label} holds no table")
    return SignedBody(body, signer.hex(), content)


def _payload_type(kind: str) -> str:
    return IN_TOTO if kind == "report" else PAYLOAD_TYPE.format(kind)


def _decode(text: Any) -> bytes:
    """Decode base64 in its canonical spelling: its last digit may have unused bits."""
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("another spelling of the same bytes")
    return content


def _signed_text(payload_type: str, body: bytes) -> bytes:
    head = f"DSSEv1 {len(payload_type.encode())} {payload_type} {len(body)} "
    return head.encode() + body
