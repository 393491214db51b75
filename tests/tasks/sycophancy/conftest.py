"""Fixtures made once: runs, their pages, and a browser."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import Browser, browser_path, open_browser
from support.chat_server import FakeChat, send, text_reply
from support.viewer_page import HOSTILE

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy, viewer


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if browser_path() is None:
        pytest.skip("no Chromium on PATH")
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> hs.Run:
    """A run whose replies are hostile; some of its requests fail."""
    said = itertools.cycle(
        [*map(text_reply, HOSTILE), send(400, b"<script>no</script>")]
    )
    with FakeChat(lambda call, prompt: next(said)) as chat:
        task = Sycophancy(
            probe="answer",
            assistant="endpoint",
            url=chat.url,
            model="<i>fake",
            limit=9,
        )
        store = tmp_path_factory.mktemp("hostile")
        return hs.run(task, store=store, on="here", progress=silent)


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> list[hs.Run]:
    """Two runs of the scripted assistant."""
    tasks = (Sycophancy(limit=24, epochs=2), Sycophancy(probe="answer", limit=30))
    store = tmp_path_factory.mktemp("runs")
    return [hs.run(task, store=store, on="here", progress=silent) for task in tasks]


@pytest.fixture(scope="session")
def pages(tmp_path_factory, hostile, runs) -> dict[str, Path]:
    """Paths of pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    paths = {name: folder / f"{name}.html" for name in ("hostile", "plain")}
    viewer.write([hostile], paths["hostile"])
    viewer.write(runs, paths["plain"])
    return paths
