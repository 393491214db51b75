"""Runs, their pages, and a browser to look at them: made once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import Browser, browsing, program
from support.chat_server import FakeChat, send, spoken
from support.viewer_page import HOSTILE

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy, viewer


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if program() is None:
        pytest.skip("no Chromium on PATH")
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> hs.Run:
    """Of an assistant that says one hostile thing after another, and fails at times."""
    said = itertools.cycle([*map(spoken, HOSTILE), send(400, b"<script>no</script>")])
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
    """Two plain ones."""
    tasks = (Sycophancy(limit=24, epochs=2), Sycophancy(probe="answer", limit=30))
    store = tmp_path_factory.mktemp("runs")
    return [hs.run(task, store=store, on="here", progress=silent) for task in tasks]


@pytest.fixture(scope="session")
def pages(tmp_path_factory, hostile, runs) -> dict[str, Path]:
    """Pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in ("hostile", "plain")}
    viewer.write([hostile], found["hostile"])
    viewer.write(runs, found["plain"])
    return found
