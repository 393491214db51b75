"""Commands ``heliostat sycophancy VERB``: page, plot, table; mistakes in one line."""

from __future__ import annotations

import pytest
from support.chat_server import FakeChat, send
from support.toy_tasks import HERE, WALK


@pytest.fixture
def ids(run_cli):
    """Two runs of one probe, and one of another."""
    quick = ("--limit", "6", *HERE, "--json")
    words = ("--planted", "flip=0.9"), (), ("--probe", "mimicry")
    result = [run_cli("run", "sycophancy", *each, *quick) for each in words]
    return [answer.object["id"] for answer in result]


def test_runs_can_be_read_plotted_and_compared(run_cli, ids, tmp_path):
    page, picture = tmp_path / "page.html", tmp_path / "rates.png"
    result = run_cli(
        "sycophancy", "view", *ids, ids[0][:6], "-o", page, "--json"
    ).object
    assert result["runs"] == ids and result["bytes"] == page.stat().st_size
    assert page.read_text().startswith("<!doctype html>")
    assert run_cli("sycophancy", "plot", *ids, "-o", picture).out == f"{picture}\n"
    assert picture.stat().st_size > 10_000
    result = run_cli("sycophancy", "compare", *ids[:2], "--json").object
    assert result["items"] == 6
    assert result["assistants"] == ["scripted, planted flip=0.9", "scripted"]
    one = result["rates"]["accuracy"]
    assert one["difference"]["value"] == one["second"]["value"] - one["first"]["value"]
    table = run_cli("sycophancy", "compare", *ids[:2]).out
    assert "right answers given up when doubted" in table and "6 items" in table


def test_mistakes_get_one_line(run_cli, ids, tmp_path):
    output = tmp_path / "page.html"
    walk = run_cli("run", WALK, *HERE, "--json").object["id"]
    for words, wrong in {
        ("view", "-o", output): "expected the id of a run",
        ("view", walk, "-o", output): "is of walk; expected one of sycophancy",
        ("plot", walk, "-o", output): "is of walk; expected one of sycophancy",
        ("compare", ids[0], walk): "is of walk; expected one of sycophancy",
        ("view", "none", "-o", output): "no run 'none'",
        ("compare", ids[0], ids[0]): "expected two different runs",
        ("compare", ids[0], ids[2]): "of mimicry; expected runs of one probe",
    }.items():
        result = run_cli("sycophancy", *words)
        assert result.status == 2 and wrong in result.error
    result = run_cli("sycophancy", "view", ids[0], "-o", tmp_path / "no" / "page.html")
    assert result.status == 2 and "cannot be written" in result.error
    assert not output.exists()


def test_text_of_others_is_not_markup(run_cli, tmp_path, monkeypatch):
    """Names and reasons are printed verbatim in tables, lines and logs."""
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))
    names = ["m[bold]:smile:[/bold]", "[/x]"]
    result = b'{"error": {"message": "no [red]such[/red] :x:"}}'
    command = ("run", "sycophancy", "--probe", "mimicry", "--limit", "1", *HERE)
    with FakeChat(lambda call, prompt: send(400, result)) as chat:
        assistant = ("--assistant", "endpoint", "--url", chat.url, "--json")
        runs = [run_cli(*command, *assistant, "--model", name).object for name in names]
    table = run_cli("sycophancy", "compare", *(run["id"] for run in runs)).out
    assert names[0] in table and names[1] in table
    assert f"model = {names[0]}" in run_cli("show", runs[0]["id"]).out
    assert names[0] in run_cli("runs").out
    page = tmp_path / "page.html"
    run_cli("sycophancy", "view", runs[0]["id"], "-o", page)
    assert "status 400: no [red]such[/red] :x:" in page.read_text()
    with FakeChat(lambda call, prompt: send(403, result)) as chat:
        assistant = ("--assistant", "endpoint", "--url", chat.url, "--model", "x")
        assert "no [red]such[/red] :x:" in run_cli(*command, *assistant).err


def test_types_of_fields_are_shown_in_full(run_cli):
    assert "tuple[float, ...]" in run_cli("show", "sycophancy").out


def test_a_run_that_its_cap_stops_tells_the_reason_and_how_to_resume(
    run_cli, tmp_path, monkeypatch
):
    """The run is stopped, not failed: exit status 130."""
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))
    command = ("run", "sycophancy", "--probe", "answer", "--limit", "1", *HERE)
    money = ("--price", "10", "10", "--cap", "0.001")
    with FakeChat() as chat:
        assistant = ("--assistant", "endpoint", "--url", chat.url, "--model", "x")
        result = run_cli(*command, *assistant, *money)
        answer = run_cli(*command, *assistant, *money, "--json").object
    assert result.status == 130 and "stopped, 0 of 1 steps" in result.out
    assert "  because the cap of 0.001 is reached" in result.out
    assert "  resume  heliostat resume" in result.out and "estimates" not in result.out
    assert answer["status"] == "stopped" and "cap of 0.001" in answer["reason"]
