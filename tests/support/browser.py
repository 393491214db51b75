"""A real browser without a window, spoken to over two pipes: what a page does, seen.

Chromium's DevTools protocol, as JSON that ends in a zero byte, on its descriptors 3 and
4 (``--remote-debugging-pipe``): no port, no driver, nothing to install.
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
PLACED = (  # descriptors are given their numbers where no thread of ours can interfere
    "import os, sys; from fcntl import fcntl, F_DUPFD; "
    "a, b = (fcntl(int(fd), F_DUPFD, 10) for fd in sys.argv[1:3]); "
    "os.dup2(a, 3); os.dup2(b, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


def program() -> str | None:
    """Where a browser is, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Events(NamedTuple):
    """What happened in a page since it was asked last."""

    seen: list[dict[str, Any]]

    def of(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.seen if event["method"] == method]


class Browser:
    """One tab of a browser."""

    def __init__(self, told: BinaryIO, heard: BinaryIO) -> None:
        self.told, self.heard = told, heard
        self.number, self.session, self.seen = 0, "", []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command, and its result."""
        self.number += 1
        command: dict[str, Any] = {"id": self.number, "method": method}
        command["params"] = params
        if self.session:
            command["sessionId"] = self.session
        self.told.write(json.dumps(command).encode() + b"\0")
        self.told.flush()
        while (reply := self._next()).get("id") != self.number:
            self.seen.append(reply)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def open(self, url: str) -> None:
        """Load a page anew, and wait for it; also where only the fragment differs."""
        self.seen.clear()
        self.send("Page.navigate", url="about:blank")
        self._until_loaded()
        self.send("Page.navigate", url=url)
        self._until_loaded()

    def value(self, expression: str) -> Any:
        """What an expression is in the page."""
        found = self.send(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def press(self, *keys: str) -> None:
        """Keys, as a keyboard sends them: characters, or names such as Tab."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            for kind in ("keyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, key=key, **text)

    def sized(self, width: int, height: int, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        phone = width < 600
        self.send("Emulation.setDeviceMetricsOverride", **size, mobile=phone)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    @property
    def events(self) -> Events:
        self.value("0")  # all that came before it has been read
        return Events(list(self.seen))

    def _until_loaded(self) -> None:
        while True:
            for place, event in enumerate(self.seen):
                if event.get("method") == "Page.loadEventFired":
                    del self.seen[place]
                    return
            self.seen.append(self._next())

    def _next(self) -> dict[str, Any]:
        """The next message; commands are few and short, so a byte at a time will do."""
        parts = []
        while (byte := self.heard.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has gone")
            parts.append(byte)
        return json.loads(b"".join(parts))


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser with a fresh profile in a folder, for as long as the block runs."""
    words = [
        str(program()),
        *OPTIONS.split(),
        f"--user-data-dir={folder}",
        "about:blank",
    ]
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    placed = [sys.executable, "-S", "-c", PLACED, str(theirs_in), str(theirs_out)]
    with open(ours_out, "wb") as told, open(ours_in, "rb") as heard:
        process = subprocess.Popen(
            [*placed, *words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            browser = Browser(told, heard)
            yield browser
            browser.session = ""
            browser.send("Browser.close")
            process.wait(timeout=20)
        finally:
            process.kill()
            process.wait()
