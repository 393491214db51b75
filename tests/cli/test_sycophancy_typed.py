"""``heliostat sycophancy VERB``: a page, a picture, a table; mistakes in one line."""

from __future__ import annotations

import pytest
from support.chat_server import FakeChat, send
from support.toy_tasks import HERE, WALK


@pytest.fixture
def ids(type_in):
    """Two runs of one probe, and one of another."""
    quick = ("--limit", "6", *HERE, "--json")
    words = ("--planted", "flip=0.9"), (), ("--probe", "mimicry")
    said = [type_in("run", "sycophancy", *each, *quick) for each in words]
    return [one.object["id"] for one in said]


def test_runs_can_be_read_plotted_and_compared(type_in, ids, tmp_path):
    page, picture = tmp_path / "page.html", tmp_path / "rates.png"
    said = type_in("sycophancy", "view", *ids, ids[0][:6], "-o", page, "--json").object
    assert said["runs"] == ids and said["bytes"] == page.stat().st_size
    assert page.read_text().startswith("<!doctype html>")
    assert type_in("sycophancy", "plot", *ids, "-o", picture).out == f"{picture}\n"
    assert picture.stat().st_size > 10_000
    said = type_in("sycophancy", "compare", *ids[:2], "--json").object
    assert said["items"] == 6
    assert said["assistants"] == ["scripted, planted flip=0.9", "scripted"]
    one = said["rates"]["accuracy"]
    assert one["difference"]["value"] == one["second"]["value"] - one["first"]["value"]
    table = type_in("sycophancy", "compare", *ids[:2]).out
    assert "right answers given up when doubted" in table and "6 items" in table


def test_mistakes_get_one_line(type_in, ids, tmp_path):
    output = tmp_path / "page.html"
    walk = type_in("run", WALK, *HERE, "--json").object["id"]
    for words, wrong in {
        ("view", "-o", output): "expected the id of a run",
        ("view", walk, "-o", output): "is of walk; expected one of sycophancy",
        ("plot", walk, "-o", output): "is of walk; expected one of sycophancy",
        ("compare", ids[0], walk): "is of walk; expected one of sycophancy",
        ("view", "none", "-o", output): "no run 'none'",
        ("compare", ids[0], ids[0]): "expected two different runs",
        ("compare", ids[0], ids[2]): "of mimicry; expected runs of one probe",
    }.items():
        said = type_in("sycophancy", *words)
        assert said.status == 2 and wrong in said.error
    said = type_in("sycophancy", "view", ids[0], "-o", tmp_path / "no" / "page.html")
    assert said.status == 1 and "cannot be written" in said.error
    assert not output.exists()


def test_words_of_others_are_no_markup(type_in, tmp_path, monkeypatch):
    """Names and reasons stand in tables, lines and logs as they are."""
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))
    names = ["m[bold]:smile:[/bold]", "[/x]"]
    said = b'{"error": {"message": "no [red]such[/red] :x:"}}'
    asked = ("run", "sycophancy", "--probe", "mimicry", "--limit", "1", *HERE)
    with FakeChat(lambda call, prompt: send(400, said)) as chat:
        where = ("--assistant", "endpoint", "--url", chat.url, "--json")
        runs = [type_in(*asked, *where, "--model", name).object for name in names]
    table = type_in("sycophancy", "compare", *(run["id"] for run in runs)).out
    assert names[0] in table and names[1] in table
    assert f"model = {names[0]}" in type_in("show", runs[0]["id"]).out
    assert names[0] in type_in("runs").out
    page = tmp_path / "page.html"
    type_in("sycophancy", "view", runs[0]["id"], "-o", page)
    assert "status 400: no [red]such[/red] :x:" in page.read_text()
    with FakeChat(lambda call, prompt: send(403, said)) as chat:
        where = ("--assistant", "endpoint", "--url", chat.url, "--model", "x")
        assert "no [red]such[/red] :x:" in type_in(*asked, *where).err


def test_types_of_fields_are_shown_whole(type_in):
    assert "tuple[float, ...]" in type_in("show", "sycophancy").out


def test_a_run_that_its_cap_stops_says_so_and_how_to_go_on(
    type_in, tmp_path, monkeypatch
):
    """Nothing is wrong, but it is not complete: exit status 130."""
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))
    asked = ("run", "sycophancy", "--probe", "answer", "--limit", "1", *HERE)
    money = ("--price", "10", "10", "--cap", "0.001")
    with FakeChat() as chat:
        where = ("--assistant", "endpoint", "--url", chat.url, "--model", "x")
        said = type_in(*asked, *where, *money)
        told = type_in(*asked, *where, *money, "--json").object
    assert said.status == 130 and "stopped, 0 of 1 steps" in said.out
    assert "  because the cap of 0.001 is reached" in said.out
    assert "  go on   heliostat resume" in said.out and "estimates" not in said.out
    assert told["status"] == "stopped" and "cap of 0.001" in told["reason"]
