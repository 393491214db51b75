"""Headless Chromium, controlled over two pipes, to test what a page does.

It uses the DevTools protocol, JSON that ends in a zero byte, on descriptors 3 and 4
(``--remote-debugging-pipe``): no port, no driver, nothing to install.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update "
    "--disable-dev-shm-usage --remote-debugging-pipe"
)
LAUNCHER = (  # a new process sets the descriptors: no thread of ours can interfere
    "import os, sys; from fcntl import fcntl, F_DUPFD; "
    "a, b = (fcntl(int(fd), F_DUPFD, 10) for fd in sys.argv[1:3]); "
    "os.dup2(a, 3); os.dup2(b, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def browser_path() -> str | None:
    """Return the path of a browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Events(NamedTuple):
    """Events of a page since it was loaded."""

    seen: list[dict[str, Any]]

    def of(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.seen if event["method"] == method]


class Browser:
    """One tab of a browser."""

    def __init__(self, commands: BinaryIO, replies: BinaryIO) -> None:
        self._commands, self._replies = commands, replies
        self.number, self.session, self.seen = 0, "", []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self.number += 1
        command: dict[str, Any] = {"id": self.number, "method": method}
        command["params"] = params
        if self.session:
            command["sessionId"] = self.session
        self._commands.write(json.dumps(command).encode() + b"\0")
        self._commands.flush()
        while (reply := self._next()).get("id") != self.number:
            self.seen.append(reply)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def open(self, url: str) -> None:
        """Load a page again and wait for it, even if only the fragment differs."""
        self.seen.clear()
        self.send("Page.navigate", url="about:blank")
        self._until_loaded()
        self.send("Page.navigate", url=url)
        self._until_loaded()

    def value(self, expression: str) -> Any:
        """Evaluate an expression in the page."""
        reply = self.send(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in reply:
            raise RuntimeError(reply["exceptionDetails"]["exception"]["description"])
        return reply["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys: characters, or names such as Tab."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            for kind in ("keyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, key=key, **text)

    def resize(self, width: int, height: int, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        phone = width < 600
        self.send("Emulation.setDeviceMetricsOverride", **size, mobile=phone)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    @property
    def events(self) -> Events:
        self.value("0")  # reads all earlier events
        return Events(list(self.seen))

    def _until_loaded(self) -> None:
        while True:
            for place, event in enumerate(self.seen):
                if event.get("method") == "Page.loadEventFired":
                    del self.seen[place]
                    return
            self.seen.append(self._next())

    def _next(self) -> dict[str, Any]:
        """Read the next message, byte by byte: messages are few and short."""
        parts = []
        while (byte := self._replies.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has gone")
            parts.append(byte)
        return json.loads(b"".join(parts))


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Run a browser with a new profile in a folder until the end of the block."""
    argv = [
        str(browser_path()),
        *OPTIONS.split(),
        f"--user-data-dir={folder}",
        "about:blank",
    ]
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    launcher = [sys.executable, "-S", "-c", LAUNCHER, str(theirs_in), str(theirs_out)]
    with open(ours_out, "wb") as commands, open(ours_in, "rb") as replies:
        process = subprocess.Popen(
            [*launcher, *argv],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            browser = Browser(commands, replies)
            yield browser
            browser.session = ""
            browser.send("Browser.close")
            process.wait(timeout=20)
        finally:
            process.kill()
            process.wait()
