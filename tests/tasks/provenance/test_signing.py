"""Envelopes: the signature of the specification, and none that is not."""

import base64
import re
import stat
import string

import pytest

import heliostat as hs
from heliostat_tasks.provenance.transcript.formats import Refused, canonical, parsed
from heliostat_tasks.provenance.transcript.signing import (
    _pae,
    fresh_key,
    opened,
    own_key,
    sealed,
)

KEY = fresh_key()
GOOD = sealed({"x": 1}, "nonce", KEY)


def test_what_is_signed_is_the_pre_authentication_encoding():
    """The example of the DSSE protocol."""
    found = _pae("http://example.com/HelloWorld", b"hello world")
    assert found == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_an_envelope_says_who_signed():
    found = opened(GOOD, "nonce", "it")
    assert found.body == {"x": 1} and found.signer == KEY.name
    assert found.content == canonical({"x": 1})


def changed(**fields):
    return canonical(parsed(GOOD, "it") | fields)


def signature(**fields):
    return changed(signatures=[parsed(GOOD, "it")["signatures"][0] | fields])


OTHER = parsed(sealed({"x": 2}, "nonce", KEY), "it")


@pytest.mark.parametrize(
    "envelope",
    [
        changed(payload=OTHER["payload"]),
        changed(signatures=OTHER["signatures"]),
        changed(signatures=[]),
        changed(signatures=OTHER["signatures"] * 2),
        changed(more=1),
        changed(payload="?"),
        changed(payload=None),
        signature(keyid=fresh_key().name),
        signature(keyid="00"),
        signature(keyid=7),
        signature(sig=base64.b64encode(bytes(64)).decode()),
        sealed({"x": 1}, "commitment", KEY),
        sealed([1], "nonce", KEY),
        canonical([]),
        b"{}",
        GOOD + b" ",
    ],
    ids=range(16),
)
def test_any_other_envelope_is_refused(envelope):
    with pytest.raises(Refused, match="it"):
        opened(envelope, "nonce", "it")


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_KEYS", str(tmp_path / "keys"))
    assert own_key("prover").name == own_key("prover").name
    assert own_key("prover").name != own_key("verifier").name
    path = tmp_path / "keys" / "prover.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.write_text("no key")
    with pytest.raises(hs.RequestError, match="is damaged"):
        own_key("prover")


def test_base64_has_one_spelling():
    """Bits of the last digit that mean nothing are zero, or the envelope is refused."""
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    envelope = sealed({"a": 1}, "nonce", fresh_key())
    (last,) = re.findall(rb'"sig":"[^"]*(.)=="', envelope)
    other = digits[digits.index(last.decode()) + 1].encode()
    spoilt = envelope.replace(last + b'=="', other + b'=="')
    assert spoilt != envelope and opened(envelope, "nonce", "it").body == {"a": 1}
    with pytest.raises(Refused, match="no signed envelope"):
        opened(spoilt, "nonce", "it")
