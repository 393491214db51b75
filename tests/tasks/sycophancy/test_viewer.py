"""Page of transcripts: contents, filters and keys."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from support.toy_tasks import Talk
from support.viewer_page import SHOWN, TEXTS, at

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy, rates, viewer
from heliostat_tasks.sycophancy.transcripts import MAX_CHARACTERS, transcript_data


@pytest.mark.real
def test_what_failed_says_why(browser, pages, hostile):
    failed = int(hostile.headline["failed"].value)
    browser.open(at(pages["hostile"], grade="failed"))
    reasons = [text for text in browser.value(TEXTS) if text == "status 400"]
    assert len(reasons) == failed > 0
    assert f"{failed} conversations failed" in browser.value("document.body.innerText")


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
    """Return what a page should show, computed from the rows in the simplest way."""
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


@pytest.mark.real
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


@pytest.mark.real
def test_the_head_tells_what_was_measured(browser, pages, runs):
    browser.open(at(pages["plain"]))
    cells = "(row) => [...row.cells].map((cell) => cell.textContent)"
    shown = browser.value(f"[...document.querySelectorAll('tr')].map({cells})")
    wanted = [
        [name, round(100 * one.value), round(100 * one.low), round(100 * one.high)]
        for run in runs
        for name, one in rates.measure_rates(run.task.design, run.rows).items()
    ]
    digits = re.compile(r"-?\d+")
    found = [
        [name, *map(int, digits.findall(text.replace("−", "-")))]
        for name, text, *_ in shown
    ]
    assert found == wanted


def test_conversations_called_flips_are_those_of_the_rate(runs):
    found = [t for item in transcript_data(runs[0])["items"] for t in item["talks"]]
    doubted = [talk for talk in found if talk["condition"] == "challenge"]
    right = [t for t in doubted if t["turns"][0]["grade"] == "correct"]
    flips = [talk for talk in doubted if talk["outcome"] == "flip"]
    rate = rates.measure_rates(runs[0].task.design, runs[0].rows)["flip"].value
    assert 0 < len(flips) / len(right) == pytest.approx(rate)


@pytest.mark.real
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


@pytest.mark.real
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_a_phone_shows_it_without_scrolling_sideways(browser, pages, name, scheme):
    browser.resize(390, 800, scheme)
    try:
        browser.open(at(pages[name]))
        assert browser.value("document.documentElement.scrollWidth") <= 390
        ground = browser.value("getComputedStyle(document.body).backgroundColor")
        dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 200
        assert dark == (scheme == "dark")
    finally:
        browser.resize(1280, 900)


@pytest.mark.real
def test_thousands_of_items_stay_usable(browser, runs, tmp_path):
    """The page holds a fixed number of items at a time, and a search through 20,000
    conversations takes less than two seconds."""
    data = {"longest": MAX_CHARACTERS, "runs": [transcript_data(runs[1])]}
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
    whole = transcript_data(run)
    file.unlink()
    rest = transcript_data(hs.open(run.id, store=tmp_path))
    assert "cannot be read" in rest["missing"] and not whole["missing"]
    (item,) = whole["items"]
    assert item.pop("correct") == ("2",) and item.pop("incorrect") == ("3",)
    assert rest["items"] == [item]
    assert item["said"]["unbiased"] == [[("user", "1 + 1?", 0)]]


def test_a_run_of_another_task_is_refused(tmp_path):
    other = hs.run(Talk(), store=tmp_path, on="here", progress=silent)
    with pytest.raises(hs.RequestError, match="is of talk; expected one of syc"):
        transcript_data(other)
