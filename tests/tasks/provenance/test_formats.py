"""Readers of JSON and tensors: exactly what a writer writes, or refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load

from heliostat_tasks.provenance.canonical import (
    Refused,
    parse_float,
    parse_json,
    to_json,
)
from heliostat_tasks.provenance.transcript.tensors import (
    decode,
    encode,
    state_digest,
    tensor_types,
)

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.float32([0.5]),
    "step": np.array(7, np.int32),
}
TYPES = tensor_types(TENSORS)


def with_header(change):
    content = encode(TENSORS)
    size = int.from_bytes(content[:8], "little")
    header = change(content[8 : 8 + size])
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def with_table(change):
    def changed(header):
        table = json.loads(header)
        change(table)
        return json.dumps(table).encode()

    return with_header(changed)


def test_tensors_survive_a_round_trip_and_the_library_agrees():
    content = encode(TENSORS)
    for result in (decode(content, TYPES, "it"), load(content)):
        assert set(result) == set(TENSORS)
        for name, array in TENSORS.items():
            np.testing.assert_array_equal(result[name], array)
            assert result[name].shape == array.shape


FAR = 1 << 50

BAD = {
    "too short": b"\x01",
    "oversized": (1 << 40).to_bytes(8, "little") + b"{}",
    "no JSON": with_header(lambda h: b"{" * len(h)),
    "no table": with_header(lambda h: b"[]"),
    "deep": with_header(lambda h: b"[" * 60_000 + b"]" * 60_000),
    "another name": with_table(lambda t: t.update(c=t.pop("a"))),
    "one too many": with_table(lambda t: t.update(c=t["a"])),
    "metadata": with_table(lambda t: t.update(__metadata__={"x": "y"})),
    "another type": with_table(lambda t: t["a"].update(dtype="F16")),
    "another shape": with_table(lambda t: t["a"].update(shape=[3, 2])),
    "beyond": with_table(
        lambda t: t["a"].update(data_offsets=[1 << 50, (1 << 50) + 24])
    ),
    "negative": with_table(lambda t: t["a"].update(data_offsets=[-24, 0])),
    "overlap": with_table(lambda t: t["b"].update(data_offsets=[0, 4])),
    "fractions": with_table(lambda t: t["a"].update(data_offsets=[0.0, 24.0])),
    "trailing": encode(TENSORS) + b"\x00",
    "cut off": encode(TENSORS)[:-1],
    "NaN": encode(TENSORS | {"b": np.float32([np.nan])}),
    "infinite": encode(TENSORS | {"b": np.float32([np.inf])}),
    "pickle": b"\x80\x04\x95" + b"cposix\nsystem\n" * 8,
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_tensors_are_refused(name):
    with pytest.raises(Refused) as caught:
        decode(BAD[name], TYPES, "it")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120


def test_a_duplicate_tensor_is_refused():
    content = with_header(
        lambda h: b'{"a":' + json.dumps(json.loads(h)["a"]).encode() + b"," + h[1:]
    )
    with pytest.raises(Refused, match="no JSON"):
        decode(content, TYPES, "it")


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":1,"a":2}',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1.5}',
        b'{"a":1e400}',
        b'{"a":01}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":9007199254740993}',
        b'{"a":"\\u00e9"}',
        b'\xef\xbb\xbf{"a":1}',
        b"\xff\xfe",
        b"[" * 17 + b"]" * 17,
        b"[" * 200_000,
        b"",
        b"[" + b"0," * (5 << 20) + b"0]",
    ],
    ids=range(16),
)
def test_json_that_is_not_canonical_is_refused(content):
    with pytest.raises(Refused) as caught:
        parse_json(content, "it")
    assert len(str(caught.value)) < 120


def test_canonical_json_survives_a_round_trip():
    value = {"b": [1, -2, None, True], "a": {"é": "\u2028"}, "f": 0.1}
    result = parse_json(to_json(value), "it")
    assert parse_float(result.pop("f"), "f") == 0.1
    assert result == {"b": [1, -2, None, True], "a": {"é": "\u2028"}}


@pytest.mark.parametrize(
    "text", ["0.1", "nan", "inf", "0x1p99999", "1e3", 3, None, "0X1"]
)
def test_floats_are_hexadecimal_and_finite(text):
    with pytest.raises(Refused):
        parse_float(text, "it")


def test_a_state_is_bound_by_names_types_shapes_and_bits():
    digest = state_digest(TENSORS)
    assert digest == state_digest(dict(reversed(TENSORS.items())))
    others = [
        TENSORS | {"b": np.float32([-0.5])},
        TENSORS | {"b": np.float64([0.5])},
        TENSORS | {"b": np.float32([[0.5]])},
        TENSORS | {"a": TENSORS["a"].reshape(3, 2)},
        TENSORS | {"a": np.asfortranarray(TENSORS["a"]).T.copy()},
        {("c" if n == "b" else n): a for n, a in TENSORS.items()},
        {n: a for n, a in TENSORS.items() if n != "b"},
    ]
    assert digest not in [state_digest(other) for other in others]
    assert digest == state_digest(TENSORS | {"a": np.asfortranarray(TENSORS["a"])})
    signed = {"b": np.float32([0.0])}, {"b": np.float32([-0.0])}
    assert state_digest(signed[0]) != state_digest(signed[1])
