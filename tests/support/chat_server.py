"""Fake chat server on loopback: it counts requests, and fails as a test plans."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from heliostat.assistants import Endpoint, Limiter, Message, RetryPolicy
from heliostat.assistants.health import QUESTIONS
from heliostat.assistants.message import DEFAULT_SETTINGS
from heliostat.assistants.retry import Clock

Act = Callable[["_Handler"], None]
Plan = Callable[[int, str], Act]
"""(number of earlier calls with this prompt, prompt) -> response."""

FAST_POLICY = RetryPolicy(
    attempts=3, rate_limited=40, timeout=5.0, first_wait=0.001, longest_wait=0.002
)


def reply_to(prompt: str) -> dict[str, Any]:
    return {
        "choices": [
            {
                "message": {"role": "assistant", "content": f"echo {prompt}"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }


def answer(handler: _Handler) -> None:
    send(200, json.dumps(reply_to(handler.prompt)).encode())(handler)


def send(status: int, body: bytes = b"", **headers: str) -> Act:
    """Send a complete response; ``Retry_After="1"`` is a header."""

    def act(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return act


def text_reply(text: Any, **more: Any) -> Act:
    """Send a reply with this text."""
    reply = reply_to("") | more
    reply["choices"][0]["message"]["content"] = text
    return send(200, json.dumps(reply).encode())


def hang(handler: _Handler) -> None:
    handler.server.chat.stopped.wait(30)  # type: ignore[attr-defined]


def truncated(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def trickle(handler: _Handler) -> None:
    """Send a byte now and then, so that no read times out."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.chat.stopped.wait(0.05):  # type: ignore[attr-defined]
        handler.wfile.write(b" ")
        handler.wfile.flush()


def echo_key(status: int) -> Act:
    """Repeat the key everywhere a server can: header, status line, body."""

    def act(handler: _Handler) -> None:
        key = handler.headers.get("Authorization", "")
        body = json.dumps({"error": {"message": f"<b>bad</b> {key}\x1b[31m"}})
        if status == 200:
            reply = reply_to("") | {"error": key}
            reply["choices"][0]["message"]["content"] = f"you sent {key}."
            body = json.dumps(reply)
        handler.send_response(status, key)
        handler.send_header("X-Echo", key)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return act


HELLO = [Message("user", "hello")]


def ask(assistant, messages=HELLO, settings=DEFAULT_SETTINGS, epoch=0):
    """Return the reply of an assistant, in a new event loop."""
    return asyncio.run(assistant.reply(messages, settings, epoch))


def always(act: Act) -> FakeChat:
    """Serve the same response to every request."""
    return FakeChat(lambda call, prompt: act)


def failing(times: int, act: Act) -> FakeChat:
    """Serve a failure so many times for each prompt, then replies."""
    return FakeChat(lambda call, prompt: act if call < times else answer)


class FakeChat:
    """``with FakeChat(plan) as chat: ...``; ``chat.calls`` counts calls by prompt."""

    def __init__(
        self,
        plan: Plan = lambda call, prompt: answer,
        delay: float = 0.0,
        port: int = 0,
    ):
        self.plan, self.delay = plan, delay
        self.calls: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.arrivals: list[float] = []
        self.departures: list[float] = []  # times of responses
        self.paths: list[str] = []
        self.loads: list[int] = []  # requests in flight at each arrival
        self.busy = 0
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.server = _Server(("127.0.0.1", port), _Handler)
        self.server.chat = self

    @property
    def health_checks(self) -> int:
        """Number of health checks."""
        return max(self.calls[question] for question in QUESTIONS)

    @property
    def requests(self) -> Counter[str]:
        """Calls by prompt, without health checks."""
        return Counter({p: n for p, n in self.calls.items() if p not in QUESTIONS})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def endpoint(self, model: str = "fake", **more: Any) -> Endpoint:
        defaults = {"policy": FAST_POLICY, "limiter": Limiter(), "clock": Clock()}
        return Endpoint(self.url, model, **{**defaults, **more})

    def in_flight(self, travel: float = 0.03) -> int:
        """Count calls without a response, or with one sent in the last ``travel`` s."""
        with self.lock:
            late = time.monotonic() - travel
            return self.busy + sum(sent > late for sent in self.departures)

    def __enter__(self) -> FakeChat:
        serve = self.server.serve_forever
        self.thread = threading.Thread(target=serve, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    chat: FakeChat

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of clients that give up or are killed: tests do that."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    prompt = ""

    def do_POST(self) -> None:
        chat: FakeChat = self.server.chat  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.prompt = body["messages"][-1]["content"]
        with chat.lock:
            call = chat.calls[self.prompt]
            chat.calls[self.prompt] += 1
            chat.busy += 1
            chat.loads.append(chat.busy)
            chat.arrivals.append(time.monotonic())
            chat.bodies.append(body)
            chat.paths.append(self.path)
        try:
            time.sleep(chat.delay)
            chat.plan(call, self.prompt)(self)
        finally:
            with chat.lock:
                chat.busy -= 1
                chat.answered[self.prompt] += 1
                chat.departures.append(time.monotonic())

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""
