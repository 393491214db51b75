"""The key is sent, and is stored and shown nowhere."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import string
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.chat_server import HELLO, FakeChat, echo_key

from heliostat.assistants import Budget, Cached, Endpoint, ReplyCache, Unanswered
from heliostat.assistants.credentials import redacted
from heliostat.assistants.redaction import hide
from heliostat.assistants.text import printable
from heliostat.errors import Paused, RequestError

KEY = "sk-planted-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("HELIOSTAT_API_KEY", KEY)
    monkeypatch.setenv("OTHER_KEY", "sk-other-0123456789")


def outcome(assistant):
    """Return a reply or an exception as a program would show it."""
    try:
        return repr(asyncio.run(assistant.reply(HELLO)))
    except (RequestError, Unanswered, Paused) as error:
        return "".join(traceback.format_exception(error)) + repr(pickle.dumps(error))


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500])
def test_a_key_that_is_echoed_is_hidden(status, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with FakeChat(lambda call, prompt: echo_key(status)) as chat:
        endpoint = chat.endpoint()
        endpoint = chat.endpoint(policy=endpoint.policy._replace(rate_limited=2))
        replies = ReplyCache(tmp_path / "replies.sqlite")
        shown = outcome(Cached(endpoint, Budget("x"), replies)) + repr(endpoint)
        replies.close()
    logged = [*caplog.messages, *(repr(r.__dict__) for r in caplog.records)]
    stored = "".join(p.read_bytes().decode("latin-1") for p in tmp_path.iterdir())
    processes = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline")]
    assert chat.calls["hello"] and logged and stored and processes
    for place in (shown, *logged, stored):
        assert KEY not in place
    assert not any(KEY.encode() in line for line in processes)


def test_the_key_is_sent_and_the_named_one_instead_of_the_usual():
    heard = []

    def listen(handler):
        heard.append(handler.headers.get("Authorization"))
        echo_key(200)(handler)

    with FakeChat(lambda call, prompt: listen) as chat:
        for name in ("HELIOSTAT_API_KEY", "OTHER_KEY", "NO_SUCH_KEY", ""):
            outcome(chat.endpoint(key=name))
    assert heard == [f"Bearer {KEY}", "Bearer sk-other-0123456789", None, None]


def test_a_bearer_token_is_hidden_and_a_bearer_of_news_is_not():
    text = "the bearer of responsibilities sent bearer abc.DEF-123=="
    assert redacted(text) == "the bearer of responsibilities sent bearer [key]"


def test_a_key_that_is_masked_is_hidden_as_far_as_it_shows():
    """Eight or more of its first or last characters are hidden."""
    masked = f"{KEY[:11]}****{KEY[-8:]}, {KEY[:4]}...{KEY[-4:]}, {KEY}{KEY}"
    assert redacted(masked) == "[key]-****[key], sk-p...6789, [key][key]"


ENCODINGS = {
    "upper case": str.upper,
    "reversed": lambda key: key[::-1],
    "with spaces": " ".join,
    "with nothing one sees between": "\u200b".join,
    "in two lines": lambda key: f"{key[:10]}\n{key[10:]}",
    "underlined": lambda key: key.replace("-", "_"),
    "without its ends": lambda key: key[4:-4],
    "in hexadecimals": lambda key: key.encode().hex(),
    "in a URL": lambda key: quote(key, safe=""),
    "within tags": lambda key: f"{key[:9]}<b>{key[9:]}",
    "a tag after each letter": "<br/>".join,
    "an entity after each letter": "&#8203;".join,
    "in entities": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "in escapes": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "in wide escapes": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "in a URL, every letter": lambda key: "".join(f"%{ord(c):02X}" for c in key),
    "in full width": lambda key: "".join(chr(ord(c) + 0xFEE0) for c in key),
    **{
        f"in base64 after {before!r}": lambda key, before=before: base64.b64encode(
            before + key.encode()
        ).decode()
        for before in (b"", b"B", b"Be")
    },
}
LONG = "sk-proj/98+7654-3210abcdefQQ%zY"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_key_is_hidden_in_every_encoding(encoding, monkeypatch):
    """At its ends, at most six encoded characters remain."""
    monkeypatch.setenv("HELIOSTAT_API_KEY", LONG)
    Endpoint("https://host/v1", "m")  # whose key is searched for from now on
    encoded = ENCODINGS[encoding](LONG)
    shown_text = redacted(printable(f"I was given: {encoded}; is that right?"))
    left = shown_text.removeprefix("I was given: ").removesuffix("; is that right?")
    assert "[key]" in left and len(left.replace("[key]", "")) <= 6


@given(st.text(st.sampled_from(string.ascii_letters + string.digits + "-_.+/=")))
def test_a_key_is_hidden_and_other_text_is_not(key):
    text = f"the quick brown fox{key}jumps over the lazy dog"
    shown = hide(text, [key, ""])
    if len(key) >= 8 and key not in "the quick brown fox jumps over the lazy dog":
        assert key not in shown
    assert shown.startswith("the quick") and shown.endswith("lazy dog")
    assert hide(text, []) == hide(text, [""]) == text


def test_a_key_in_place_of_a_name_is_refused_and_not_repeated():
    with pytest.raises(RequestError) as caught:
        Endpoint("https://host/v1", "m", key=KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("value", ["short", "with a space in it", "näh-0123456789"])
def test_what_can_be_no_key_is_refused_and_not_repeated(value, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_API_KEY", value)
    shown = outcome(Endpoint("https://host/v1", "m"))
    assert "$HELIOSTAT_API_KEY holds no key" in shown and value not in shown


def test_a_key_does_not_travel_in_the_clear():
    assert "in the clear" in outcome(Endpoint("http://192.0.2.1/v1", "m"))
