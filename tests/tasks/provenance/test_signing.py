"""Envelopes: the signature of the specification, and refusal of all others."""

import base64
import re
import stat
import string

import pytest

import heliostat as hs
from heliostat_tasks.provenance.canonical import Refused, parse_json, to_json
from heliostat_tasks.provenance.transcript.signing import (
    _signed_text,
    generate_key,
    load_key,
    open_envelope,
    seal,
)

KEY = generate_key()
GOOD = seal({"x": 1}, "nonce", KEY)


def test_the_signed_text_is_the_pre_authentication_encoding():
    """The example of the DSSE protocol."""
    result = _signed_text("http://example.com/HelloWorld", b"hello world")
    assert result == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_an_envelope_names_its_signer():
    result = open_envelope(GOOD, "nonce", "it")
    assert result.body == {"x": 1} and result.signer == KEY.name
    assert result.content == to_json({"x": 1})


def changed(**fields):
    return to_json(parse_json(GOOD, "it") | fields)


def signature(**fields):
    return changed(signatures=[parse_json(GOOD, "it")["signatures"][0] | fields])


OTHER = parse_json(seal({"x": 2}, "nonce", KEY), "it")


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
        signature(keyid=generate_key().name),
        signature(keyid="00"),
        signature(keyid=7),
        signature(sig=base64.b64encode(bytes(64)).decode()),
        seal({"x": 1}, "commitment", KEY),
        seal([1], "nonce", KEY),
        to_json([]),
        b"{}",
        GOOD + b" ",
    ],
    ids=range(16),
)
def test_any_other_envelope_is_refused(envelope):
    with pytest.raises(Refused, match="it"):
        open_envelope(envelope, "nonce", "it")


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_KEYS", str(tmp_path / "keys"))
    assert load_key("prover").name == load_key("prover").name
    assert load_key("prover").name != load_key("verifier").name
    path = tmp_path / "keys" / "prover.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.write_text("no key")
    with pytest.raises(hs.RequestError, match="is damaged"):
        load_key("prover")


def test_base64_has_one_spelling():
    """Unused bits of the last digit are zero, or the envelope is refused."""
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    envelope = seal({"a": 1}, "nonce", generate_key())
    (last,) = re.findall(rb'"sig":"[^"]*(.)=="', envelope)
    other = digits[digits.index(last.decode()) + 1].encode()
    spoilt = envelope.replace(last + b'=="', other + b'=="')
    assert spoilt != envelope and open_envelope(envelope, "nonce", "it").body == {
        "a": 1
    }
    with pytest.raises(Refused, match="no signed envelope"):
        open_envelope(spoilt, "nonce", "it")
