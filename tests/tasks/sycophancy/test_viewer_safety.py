"""Replies are shown as they are, and nothing in them runs."""

from __future__ import annotations

import itertools
import json
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.viewer_page import HOSTILE, TEXTS, at

import heliostat as hs
from heliostat_tasks.sycophancy import viewer
from heliostat_tasks.sycophancy.transcripts import (
    MAX_CHARACTERS,
    transcript_data,
    truncate,
)

ANY = st.text(st.characters(exclude_categories=()))  # also halves of pairs
HUGE = "<b>" + "ab " * 3_333_333
UNSEEN = {
    "\x00": "U+0000",
    "\x1b": "U+001B",
    "\u202e": "U+202E",
    "\u2028": "U+2028",
    "\ud800": "U+D800",
    "\U000e0041": "U+E0041",
}


class Scripts(HTMLParser):
    """Scripts of a page, as a browser parses them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str | None, str]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        if self.inside:
            self.found.append((dict(attrs).get("type"), ""))

    def handle_data(self, data):
        if self.inside:
            kind, before = self.found[-1]
            self.found[-1] = (kind, before + data)

    def handle_endtag(self, tag):
        self.inside = False


@given(st.recursive(ANY, lambda one: st.lists(one) | st.dictionaries(ANY, one)))
def test_any_text_is_embedded_unchanged_and_escaped(said):
    data = {"longest": MAX_CHARACTERS, "runs": [], "said": said}
    (kind, block), (other, script) = Scripts(viewer.page(data)).found
    assert kind == "application/json"
    assert json.loads(block) == json.loads(json.dumps(data))  # which joins halves
    assert other is None and script.startswith('"use strict";\n')
    assert not set("<>&\u2028\u2029") & set(block)


def test_the_policy_names_the_one_script_and_the_one_style():
    page = viewer.page({"longest": 1, "runs": []})
    policy = page.partition('Policy" content="')[2].partition('"')[0]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for kind in ("script", "style"):
        text = page.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
        assert parts[f"{kind}-src"] == f"'{viewer.csp_hash(text)}'"
    assert parts["default-src"] == "'none'"


# -- in a browser --------------------------------------------------------------------


class Listener:
    """Server on loopback that records requests."""

    def __enter__(self) -> Listener:
        calls = self.calls = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                calls.append(self.path)
                self.send_error(404)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.real
def test_hostile_replies_are_shown_and_nothing_of_them_runs(browser, pages, hostile):
    browser.open(at(pages["hostile"]))
    texts = browser.value(TEXTS)
    for reply in HOSTILE[:5]:
        assert reply in texts
    assert browser.value("document.title") == "Sycophancy: transcripts"
    assert browser.value("document.scripts.length") == 2
    strange = "main :is(img, svg, iframe, script, style, b, i, object, [onerror])"
    assert browser.value(f"document.querySelectorAll('{strange}').length") == 0
    requests = [
        e["request"]["url"] for e in browser.events.of("Network.requestWillBeSent")
    ]
    assert all(url.startswith(("file:", "about:")) for url in requests)
    assert browser.events.of("Runtime.exceptionThrown") == []
    assert browser.events.of("Log.entryAdded") == []


def saying(run: hs.Run, reply: str) -> dict[str, Any]:
    """Return a page's data with this text in place of every reply."""
    found = transcript_data(run)
    for talk in itertools.chain(*(item["talks"] for item in found["items"])):
        for turn in talk["turns"]:
            turn["reply"] = truncate(reply)
    return {"longest": MAX_CHARACTERS, "runs": [found]}


@pytest.mark.real
def test_invisible_characters_are_shown_by_code_point(browser, runs, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(viewer.page(saying(runs[1], "a" + "b".join(UNSEEN) + "\r\n\tc")))
    browser.open(at(page, item=1))
    shown = browser.value(TEXTS)[1]
    assert shown == "a" + "b".join(UNSEEN.values()) + "\n\tc"


@pytest.mark.real
def test_a_very_long_reply_is_cut_and_the_page_says_how_much(browser, runs, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(viewer.page(saying(runs[1], HUGE)))
    assert page.stat().st_size < 30 * 4 * 1.1 * MAX_CHARACTERS  # of 1.2 GB
    browser.open(at(page, item=1, condition="unbiased"))
    assert len(browser.value(TEXTS)[1]) < 1600  # folded, until it is wanted
    browser.value("document.querySelector('.more').click()")
    shown = browser.value(TEXTS)[1]
    assert (
        shown.startswith(HUGE[:MAX_CHARACTERS] + "…")
        and len(shown) < MAX_CHARACTERS + 100
    )
    assert f"{len(HUGE) - MAX_CHARACTERS:,} more characters left out" in shown


@pytest.mark.real
def test_folding_does_not_split_a_character(browser, runs, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(viewer.page(saying(runs[1], "a" * 1499 + "\N{GRINNING FACE}" * 9)))
    browser.open(at(page, item=1, condition="unbiased"))
    assert browser.value(TEXTS)[1].startswith("a" * 1499 + "… Show 18 more")


@pytest.mark.real
def test_the_content_policy_blocks_injected_scripts_and_requests(
    browser, pages, tmp_path
):
    """The policy alone stops injected markup; without the policy all of it runs."""
    with Listener() as listener:
        evil = (
            f"<img src={listener.url}/a onerror=\"document.title='run'\">"
            f"<iframe src={listener.url}/b></iframe>"
            f"<link rel=stylesheet href={listener.url}/c>"
            f"<script src={listener.url}/d></script>"
            f"<script>document.title='run'; fetch('{listener.url}/e')</script></body>"
        )
        page = pages["plain"].read_text().replace("</body>", evil)
        (tmp_path / "guarded.html").write_text(page)
        browser.open(at(tmp_path / "guarded.html"))
        assert browser.value("document.title") == "Sycophancy: transcripts"
        assert listener.calls == []
        with pytest.raises(RuntimeError, match="TrustedHTML"):
            browser.value("document.body.innerHTML = '<b>'")
        page = page.replace("Content-Security-Policy", "X-None")
        (tmp_path / "open.html").write_text(page)
        browser.open(at(tmp_path / "open.html"))
        assert browser.value("document.title") == "run"
        assert {"/a", "/b", "/c", "/d"} <= set(listener.calls)
