"""Replies of all kinds: a request ends with a reply or with a reason."""

from __future__ import annotations

import gzip
import json
import re
import zlib

import pytest
from support.chat_server import (
    FAST_POLICY,
    HELLO,
    FakeChat,
    always,
    answer,
    ask,
    failing,
    reply_to,
    send,
    text_reply,
    truncated,
)

from heliostat.assistants import Endpoint, Settings, Unanswered, Unreachable
from heliostat.assistants.text import MAX_CHARACTERS
from heliostat.errors import RequestError


def replied(message, finish):
    reply = {"choices": [{"message": message, "finish_reason": finish}]}
    return send(200, json.dumps(reply).encode())


def test_a_request_says_what_was_asked_and_a_reply_what_came():
    settings = Settings(0.5, 7, seed=3, stop=("END",), grammar="root ::= x")
    with FakeChat() as chat:
        reply = ask(chat.endpoint("m"), [("system", "be brief"), *HELLO], settings, 2)
    assert reply == ("echo hello", 10, 2, False, "stop")
    assert chat.paths == ["/v1/chat/completions"]
    assert chat.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hello"},
            ],
            "max_tokens": 7,
            "temperature": 0.5,
            "seed": 5,  # another draw for each epoch
            "stop": ["END"],
            "grammar": "root ::= x",
        }
    ]


def test_anthropic_servers_are_spoken_to_in_their_own_manner():
    reply = {
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "max_tokens",
        "usage": {"input_tokens": 4, "output_tokens": 1},
    }
    with always(send(200, json.dumps(reply).encode())) as chat:
        endpoint = chat.endpoint(provider="anthropic")
        assert ask(endpoint, [("system", "s"), *HELLO]) == ("hi", 4, 1, False, "length")
    (body,) = chat.bodies
    assert body["system"] == "s" and len(body["messages"]) == 1
    assert chat.paths == ["/v1/messages"]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}, "ab"),
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": [{"type": "thinking", "thinking": "?"}, {"text": "b"}]}, "b"),
        ({"content": [{"type": None, "text": "a"}]}, "a"),
        ({"content": [{"type": "output_text", "text": "a"}]}, "a"),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"content": [{"type": ["?"]}], "refusal": "No."}, "No."),
        ({"content": "", "refusal": "No."}, "No."),
        ({"content": [], "refusal": None}, ""),
        ({"content": [{"type": "text", "text": ""}]}, ""),
    ],
)
def test_texts_come_in_parts_or_as_a_refusal(message, text):
    body = {"choices": [{"message": message, "finish_reason": None}]}
    with always(send(200, json.dumps(body).encode())) as chat:
        reply = ask(chat.endpoint())
    assert (reply.text, reply.finish) == (text, "stop")


IMAGE = [{"type": "image_url", "image_url": {"url": "data:,"}}]


def test_parts_without_text_are_no_reply():
    useless = pytest.raises(Unanswered, match="no part of the reply is a text; tried 2")
    with always(replied({"content": IMAGE}, "stop")) as chat, useless:
        ask(chat.endpoint())
    assert sum(chat.calls.values()) == 2


def test_thoughts_are_no_part_of_a_reply():
    reply = {
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "h"},
            {"type": "text", "text": "i"},
        ],
        "stop_reason": "end_turn",
    }
    with always(send(200, json.dumps(reply).encode())) as chat:
        assert ask(chat.endpoint(provider="anthropic")).text == "hi"


@pytest.mark.parametrize(
    ("message", "finish"),
    [
        ({"content": None}, "length"),
        ({"content": None}, "content_filter"),
        ({"content": IMAGE}, "length"),
        ({"content": IMAGE}, "max_tokens"),
        (None, "content_filter"),
    ],
)
def test_a_reply_that_ended_without_text_is_asked_and_paid_once(message, finish):
    with always(replied(message, finish)) as chat:
        reply = ask(chat.endpoint())
    assert (reply.text, reply.finish) == ("", finish) and chat.calls == {"hello": 1}


def test_what_a_server_says_is_wrong_is_told_whatever_the_status():
    body = b'{"error": {"message": "upstream is down"}}'
    with always(send(200, body)) as chat, pytest.raises(Unanswered) as caught:
        ask(chat.endpoint())
    wrong = "choices is missing, expected a list: upstream is down; tried 3 times"
    assert str(caught.value) == wrong


WHOLE = json.dumps(reply_to("")).encode()

BAD = {
    "error 500": send(500, b"<html><h1>\x1b[31mdown</h1></html>"),
    "timeout 408": send(408),
    "empty": send(200, b""),
    "no JSON": send(200, b"<html>captcha</html>"),
    "half JSON": send(200, json.dumps(reply_to("x")).encode()[:-9]),
    "no UTF-8": send(200, b'{"choices": "\xff\xfe"}'),
    "a list": send(200, b"[]"),
    "deep": send(200, b"[" * 200_000),
    "NaN": send(200, b'{"usage": NaN}'),
    "long number": send(200, b'{"usage": ' + b"9" * 10_000 + b"}"),
    "no choices": send(200, b'{"choices": []}'),
    "null choice": send(200, b'{"choices": [null]}'),
    "no message": send(200, b'{"choices": [{"finish_reason": "stop"}]}'),
    "null text": text_reply(None),
    "number for text": text_reply(7),
    "list for text": text_reply(["a"]),
    "truncated": truncated,
    "no gzip": send(200, b"\x1f\x8b" + b"\0" * 99, Content_Encoding="gzip"),
    "half gzip": send(200, gzip.compress(WHOLE)[:40], Content_Encoding="gzip"),
    "lost": lambda handler: setattr(handler, "close_connection", True),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reply_is_tried_again(name):
    with failing(2, BAD[name]) as chat:
        assert ask(chat.endpoint()).text == "echo hello"
    assert chat.calls == {"hello": 3}


@pytest.mark.parametrize("name", BAD)
def test_what_stays_bad_ends_with_one_printable_line(name):
    with always(BAD[name]) as chat, pytest.raises(Unanswered) as caught:
        ask(chat.endpoint())
    assert chat.requests == {"hello": FAST_POLICY.attempts}
    nobody_is_answered = name in ("error 500", "truncated", "lost")
    assert (type(caught.value) is Unreachable) == nobody_is_answered
    reason = str(caught.value)
    assert reason.isprintable() and 10 < len(reason) < 300
    assert not re.search("<[^>]*>", reason)


USELESS = {
    "10 MB": text_reply("x" * 10_000_000),
    "10 MB packed": send(
        200, gzip.compress(b" " * 10_000_000 + WHOLE), Content_Encoding="gzip"
    ),
    "packed otherwise": send(200, WHOLE, Content_Encoding="br"),
    "nothing": send(204),
    "tools": replied({"content": None, "tool_calls": [{}]}, "tool_calls"),
}


@pytest.mark.parametrize("name", USELESS)
def test_a_whole_reply_that_is_of_no_use_is_asked_for_twice(name):
    with always(USELESS[name]) as chat, pytest.raises(Unanswered) as caught:
        ask(chat.endpoint())
    assert chat.calls == {"hello": 2}
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_packed_reply_is_unpacked(packing):
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}[packing]
    with always(send(200, pack(WHOLE), Content_Encoding=packing)) as chat:
        assert ask(chat.endpoint()).text == "echo "


@pytest.mark.parametrize(
    "usage",
    [
        "[1]",
        '"many"',
        '{"prompt_tokens": -1, "completion_tokens": true}',
        '{"prompt_tokens": 1e9, "completion_tokens": "2"}',
        '{"prompt_tokens": 200000, "completion_tokens": 900000000}',
        '{"prompt_tokens": 1.5, "completion_tokens": null}',
        '{"prompt_tokens": NaN, "completion_tokens": -Infinity}',
        pytest.param(f'{{"prompt_tokens": {"9" * 10_000}}}', id="long"),
    ],
)
def test_counts_that_can_be_none_spoil_no_reply(usage):
    body = json.dumps(reply_to("x") | {"usage": "?"}).replace('"?"', usage)
    with always(send(200, body.encode())) as chat:
        reply = ask(chat.endpoint(), settings=Settings(max_tokens=9))
    assert reply.text == "echo x" and reply.completion_tokens == 9
    assert len("hello") <= reply.prompt_tokens < 100


@pytest.mark.parametrize("finish", [7, ["stop"], {"type": "stop"}, True])
def test_a_finish_of_another_kind_spoils_no_reply(finish):
    with always(replied({"content": "x"}, finish)) as chat:
        assert ask(chat.endpoint()).finish == "unknown"


def test_the_first_choice_is_the_one_that_says_so():
    choices = [
        {"index": n, "message": {"content": f"choice {n}"}, "finish_reason": "stop"}
        for n in (2, 0, 1)
    ]
    with always(send(200, json.dumps({"choices": [*choices, None]}).encode())) as chat:
        assert ask(chat.endpoint()).text == "choice 0"


def test_a_newer_server_gets_the_names_that_it_asks_for():
    """Only the first request is repeated: later ones use the new names."""

    def newer(call, prompt):
        return answer if "max_completion_tokens" in chat.bodies[-1] else wrong

    message = "'max_tokens' is not supported, use 'max_completion_tokens' instead."
    wrong = send(400, json.dumps({"error": {"message": message}}).encode())
    with FakeChat(newer) as chat:
        endpoint = chat.endpoint()
        for text in ("a", "b"):
            assert ask(endpoint, [("user", text)], Settings(max_tokens=7))
    assert chat.calls == {"a": 2, "b": 1}
    assert [b.get("max_completion_tokens") for b in chat.bodies] == [None, 7, 7]
    assert "max_tokens" not in chat.bodies[-1]


def test_a_temperature_can_be_left_to_the_server():
    message = "Unsupported value: 'temperature' does not support 0.0 with this model."
    wrong = send(400, json.dumps({"error": {"message": message}}).encode())
    with FakeChat(
        lambda call, prompt: wrong if "temperature" in chat.bodies[-1] else answer
    ) as chat:
        with pytest.raises(Unanswered, match="a temperature of none leaves it to"):
            ask(chat.endpoint(), settings=Settings(0.0))
        assert ask(chat.endpoint(), settings=Settings(None)).text == "echo hello"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_is_not_repeated(status):
    body = json.dumps({"error": {"message": "too <b>long</b>\x07 by 3"}}).encode()
    with always(send(status, body)) as chat, pytest.raises(Unanswered) as caught:
        ask(chat.endpoint())
    assert str(caught.value) == f"status {status}: too long by 3"
    assert chat.calls == {"hello": 1}


def test_what_a_server_says_of_a_key_loses_no_brackets(monkeypatch):
    monkeypatch.setenv("HELIOSTAT_API_KEY", "sk-planted-0123456789")
    message = "key [sk-planted-0123456789] of {x|y}: 2 > 1"
    body = json.dumps({"error": {"message": message}}).encode()
    with always(send(400, body)) as chat, pytest.raises(Unanswered) as caught:
        ask(chat.endpoint())
    assert str(caught.value) == "status 400: key [[key]] of {x|y}: 2 > 1"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405])
def test_what_is_wrong_with_every_request_ends_the_run(status):
    with always(send(status)) as chat, pytest.raises(RequestError, match=str(status)):
        ask(chat.endpoint())
    assert chat.calls["hello"] == 1


def test_a_long_text_is_cut_and_says_so():
    with always(text_reply("é" * (MAX_CHARACTERS + 1))) as chat:
        reply = ask(chat.endpoint())
    assert reply.text == "é" * MAX_CHARACTERS and reply.finish == "cut"


def test_a_text_can_be_stored_and_is_otherwise_as_it_came():
    with always(text_reply("a\x00b\ud800c\x1b\n\t\U0001f600")) as chat:
        reply = ask(chat.endpoint())
    assert reply.text == "a\ufffdb\ufffdc\x1b\n\t\U0001f600"
    assert reply.text.encode()


def test_uncounted_tokens_are_the_most_there_can_be():
    with always(text_reply("x", usage=None)) as chat:
        reply = ask(chat.endpoint(), settings=Settings(max_tokens=9))
    assert reply.prompt_tokens >= len("hello") and reply.completion_tokens == 9


@pytest.mark.parametrize("messages", [[], [("robot", "x")], [("user", None)]])
def test_messages_that_are_none_are_refused(messages):
    with pytest.raises(RequestError):
        ask(Endpoint("http://127.0.0.1:9/v1", "m"), messages)
