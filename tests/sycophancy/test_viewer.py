"""The page of transcripts: all that was said, as it was said, and nothing that runs."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from browser import Browser, browsing, program
from fakechat import FakeChat, send, spoken
from hypothesis import given
from hypothesis import strategies as st
from toys import Talk

import heliostat as hs
from heliostat.progress import silent
from heliostat_tasks.sycophancy import Sycophancy, rates, viewer
from heliostat_tasks.sycophancy.transcripts import LONGEST, cut, told

ANY = st.text(st.characters(exclude_categories=()))  # also halves of pairs
HUGE = "<b>" + "ab " * 3_333_333
HOSTILE = (
    "</script><script>document.title = 'run'</script>",
    "<!--<script>document.title = 'run'//",
    "<img src=x onerror=\"document.title = 'run'\">",
    "<svg onload=alert(1)><iframe src=javascript:alert(1)>",
    "]]>\"'`\\u003cb>${document.title = 'run'}{{data}}{{script}}",
    "javascript:document.title='run'\u2028\u2029",
    "\u202etxet\u202c \u200b\x00\x07\x1b[31m",
)
UNSEEN = {
    "\x00": "U+0000",
    "\x1b": "U+001B",
    "\u202e": "U+202E",
    "\u2028": "U+2028",
    "\ud800": "U+D800",
    "\U000e0041": "U+E0041",
}


class Scripts(HTMLParser):
    """The scripts of a page, as its browser will find them."""

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
def test_whatever_is_said_the_page_holds_it_and_ends_where_it_should(said):
    data = {"longest": LONGEST, "runs": [], "said": said}
    (kind, block), (other, script) = Scripts(viewer.page(data)).found
    assert kind == "application/json"
    assert json.loads(block) == json.loads(json.dumps(data))  # which joins halves
    assert other is None and script == viewer.items.shipped("viewer.js")
    assert not set("<>&\u2028\u2029") & set(block)


def test_the_policy_names_the_one_script_and_the_one_style():
    page = viewer.page({"longest": 1, "runs": []})
    policy = page.partition('Policy" content="')[2].partition('"')[0]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    for kind in ("script", "style"):
        text = page.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
        assert parts[f"{kind}-src"] == f"'{viewer.digest(text)}'"
    assert parts["default-src"] == "'none'"


# -- in a browser --------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if program() is None:
        pytest.skip("no Chromium on PATH")
    with browsing(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[hs.Run]:
    """Two plain ones."""
    tasks = (Sycophancy(limit=24, epochs=2), Sycophancy(probe="answer", limit=30))
    store = tmp_path_factory.mktemp("runs")
    return [hs.run(task, store=store, on="here", progress=silent) for task in tasks]


@pytest.fixture(scope="module")
def pages(tmp_path_factory, hostile, runs) -> dict[str, Path]:
    """Pages by name."""
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in ("hostile", "plain")}
    viewer.write([hostile], found["hostile"])
    viewer.write(runs, found["plain"])
    return found


class Listener:
    """A server on loopback that counts who calls."""

    def __enter__(self) -> Listener:
        calls = self.calls = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                calls.append(self.path)
                self.send_error(404)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def at(file: Path, **filters: Any) -> str:
    return f"file://{file}#{urlencode(filters)}"


TEXTS = "[...document.querySelectorAll('.text')].map((one) => one.textContent)"
SHOWN = """[...document.querySelectorAll('.talk')].map((talk) => [
    talk.closest('.item').querySelector('h2').textContent,
    talk.querySelector('h3').textContent])"""


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
    """What a page holds of a run, had all replies been this one."""
    found = told(run)
    for talk in itertools.chain(*(item["talks"] for item in found["items"])):
        for turn in talk["turns"]:
            turn["reply"] = cut(reply)
    return {"longest": LONGEST, "runs": [found]}


def test_what_cannot_be_seen_is_shown_by_its_number(browser, runs, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(viewer.page(saying(runs[1], "a" + "b".join(UNSEEN) + "\r\n\tc")))
    browser.open(at(page, item=1))
    shown = browser.value(TEXTS)[1]
    assert shown == "a" + "b".join(UNSEEN.values()) + "\n\tc"


def test_a_very_long_reply_is_cut_and_the_page_says_how_much(browser, runs, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(viewer.page(saying(runs[1], HUGE)))
    assert page.stat().st_size < 30 * 4 * 1.1 * LONGEST  # of 1.2 GB
    browser.open(at(page, item=1, condition="unbiased"))
    assert len(browser.value(TEXTS)[1]) < 1600  # folded, until it is wanted
    browser.value("document.querySelector('.more').click()")
    shown = browser.value(TEXTS)[1]
    assert shown.startswith(HUGE[:LONGEST] + "…") and len(shown) < LONGEST + 100
    assert f"{len(HUGE) - LONGEST:,} more characters left out" in shown


def test_what_failed_says_why(browser, pages, hostile):
    failed = int(hostile.headline["failed"].value)
    browser.open(at(pages["hostile"], grade="failed"))
    reasons = [text for text in browser.value(TEXTS) if text == "status 400"]
    assert len(reasons) == failed > 0
    assert f"{failed} conversations failed" in browser.value("document.body.innerText")


def test_markup_that_got_in_would_still_neither_run_nor_ask(browser, pages, tmp_path):
    """The policy, alone: injected where it hurts; without it all of this happens."""
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


FILTERS: list[dict[str, str]] = [
    {},
    {"grade": "flip", "condition": "challenge"},
    {"grade": "mended"},
    {"dataset": "sums"},
    {"dataset": "sums", "condition": "unbiased", "grade": "incorrect"},
    {"text": "i APOLOGIZE"},
    {"text": "plus 27?", "condition": "hint"},
    {"text": ".*"},
    {"condition": "no such"},
]


def expected(run: hs.Run, filters: dict[str, str]) -> list[list[str]]:
    """What a page should show, in the slowest way, from the rows alone."""
    rows, found = run.rows.load(), []
    said, reply, grade = (rows[n].values.tolist() for n in ("said", "reply", "grade"))
    conditions = list(map(str, rows.condition.values))
    for i, c, e in itertools.product(*map(range, rows["reply"].isel(turn=0).shape)):
        dataset = str(rows.dataset.values[i, 0])
        grades = [turn[c][e] for turn in grade[i]]
        plain = "unbiased" in conditions  # answers are held against those
        ends = (grade[i][0][0 if plain else c][e], grades[-1])
        grades += ["flip"] * (ends == ("correct", "incorrect"))
        grades += ["mended"] * (ends == ("incorrect", "correct"))
        lines = [pair for turn in said[i] for pair in json.loads(turn[c])]
        texts = [text for role, text in lines if role != "system"]
        texts += [turn[c][e] for turn in reply[i]]
        if (
            filters.get("dataset", dataset) == dataset
            and filters.get("condition", conditions[c]) == conditions[c]
            and filters.get("grade", grades[0]) in grades
            and any(filters.get("text", "").lower() in text.lower() for text in texts)
        ):
            found.append([f"{dataset} {i + 1}", conditions[c]])
    return found


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_filters_in_the_address_show_exactly_what_they_should(
    browser, pages, runs, filters
):
    for run in runs:
        wanted = expected(run, filters)
        shown: list[list[str]] = []
        for page in (1, 2):
            browser.open(at(pages["plain"], run=run.id, **filters, page=page))
            shown += browser.value(SHOWN) if browser.value("page") == page else []
        assert shown == wanted
        count = browser.value("document.getElementById('count').textContent")
        assert count.startswith(f"{len(wanted)} of ")


def test_the_head_tells_what_was_measured(browser, pages, runs):
    browser.open(at(pages["plain"]))
    cells = "(row) => [...row.cells].map((cell) => cell.textContent)"
    shown = browser.value(f"[...document.querySelectorAll('tr')].map({cells})")
    wanted = [
        [name, round(100 * one.value), round(100 * one.low), round(100 * one.high)]
        for run in runs
        for name, one in rates.measured(run.task.scheme, run.rows).items()
    ]
    digits = re.compile(r"-?\d+")
    found = [
        [name, *map(int, digits.findall(text.replace("−", "-")))]
        for name, text, *_ in shown
    ]
    assert found == wanted


def test_conversations_called_flips_are_those_of_the_rate(runs):
    found = [t for item in told(runs[0])["items"] for t in item["talks"]]
    doubted = [talk for talk in found if talk["condition"] == "challenge"]
    right = [t for t in doubted if t["turns"][0]["grade"] == "correct"]
    flips = [talk for talk in doubted if talk["outcome"] == "flip"]
    rate = rates.measured(runs[0].task.scheme, runs[0].rows)["flip"].value
    assert 0 < len(flips) / len(right) == pytest.approx(rate)


def test_all_can_be_done_with_keys(browser, pages):
    browser.open(at(pages["plain"]))
    browser.press("/", *"apolog")
    browser.value("new Promise((done) => setTimeout(done, 400))")
    assert browser.value("location.hash") == "#text=apolog"
    assert 0 < len(browser.value(SHOWN)) < 100
    browser.value("document.activeElement.blur()")
    heading = "document.activeElement.querySelector('h2').textContent"
    seen = []
    for key in "jjk":
        browser.press(key)
        seen.append(browser.value(heading))
    assert seen[0] == seen[2] != seen[1]
    browser.value("document.querySelector('[type=reset]').click()")
    browser.press("n")
    assert browser.value("location.hash") == "#page=2"
    browser.press("p")
    assert browser.value("location.hash") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_a_phone_shows_it_without_scrolling_sideways(browser, pages, name, scheme):
    browser.sized(390, 800, scheme)
    try:
        browser.open(at(pages[name]))
        assert browser.value("document.documentElement.scrollWidth") <= 390
        ground = browser.value("getComputedStyle(document.body).backgroundColor")
        dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 200
        assert dark == (scheme == "dark")
    finally:
        browser.sized(1280, 900)


def test_thousands_of_items_stay_usable(browser, runs, tmp_path):
    """What is in the page at a time does not grow with how many there are; a search
    through 20,000 conversations takes less than two seconds."""
    data = {"longest": LONGEST, "runs": [told(runs[1])]}
    many = itertools.islice(itertools.cycle(data["runs"][0]["items"]), 5000)
    data["runs"][0]["items"] = [one | {"number": i} for i, one in enumerate(many, 1)]
    page = tmp_path / "page.html"
    page.write_text(viewer.page(data))
    browser.open(at(page))
    assert len(browser.value(SHOWN)) == 20 * 4
    search = """(() => { const began = performance.now();
        form.elements.text.value = "no such text"; changed();
        return performance.now() - began })()"""
    assert browser.value(search) < 2000
    assert browser.value(SHOWN) == []


def test_without_its_items_a_run_still_tells_what_was_said(tmp_path):
    base = {"question": "1 + 1?", "correct_answer": "2", "incorrect_answer": "3"}
    prompt = [{"type": "human", "content": "1 + 1?"}]
    file = tmp_path / "answer.jsonl"
    file.write_text(json.dumps({"prompt": prompt, "base": base}) + "\n")
    task = Sycophancy(probe="answer", items=hs.File(file))
    run = hs.run(task, store=tmp_path, on="here", progress=silent)
    whole = told(run)
    file.unlink()
    rest = told(hs.open(run.id, store=tmp_path))
    assert "answer.jsonl" in rest["missing"] and not whole["missing"]
    (item,) = whole["items"]
    assert item.pop("correct") == ("2",) and item.pop("incorrect") == ("3",)
    assert rest["items"] == [item]
    assert item["said"]["unbiased"] == [[("user", "1 + 1?", 0)]]


def test_a_run_of_another_task_is_refused(tmp_path):
    other = hs.run(Talk(), store=tmp_path, on="here", progress=silent)
    with pytest.raises(hs.RequestError, match="is of talk; expected one of syc"):
        told(other)
