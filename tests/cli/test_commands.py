"""Every line that the program prints can be pasted as it is."""

from __future__ import annotations

import _thread
import re
import shlex
import threading
import time
from pathlib import Path

import pytest
from support import toy_tasks, user_densities
from support.toy_tasks import HERE

import heliostat as hs
from heliostat.config import registry
from heliostat.store import lock

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--size", "6", "--chains", "4", "--starts", "4", "--warmup", "5")


@pytest.fixture
def paste(run_cli, monkeypatch):
    """Function that runs a line as another process would: it knows no class yet."""
    monkeypatch.setattr(registry, "classes_in_process", lambda name: [])

    def call(line: str):
        program, *words = shlex.split(line)
        assert program == "heliostat"
        return run_cli(*words)

    return call


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Folder with a blank in its name, and files of a user in it."""
    folder = tmp_path / "my tasks"
    folder.mkdir()
    (folder / "walk.py").write_text(Path(toy_tasks.__file__).read_text())
    (folder / "model.py").write_text(Path(user_densities.__file__).read_text())
    monkeypatch.chdir(tmp_path)
    return folder


def next_lines(out: str) -> dict[str, str]:
    """Return the lines below the headline, by the word before each."""
    return dict(re.findall(r"^  (open|plot|resume|extend) +(.*)$", out, re.MULTILINE))


def interrupt_after_commit(store: Path) -> None:
    """Press Ctrl-C once a run of this store has committed; give up after minutes."""
    for _ in range(2000):
        logs = [log.read_text() for log in store.glob("*/*/events.jsonl")]
        if any("committed" in log for log in logs):
            _thread.interrupt_main()
            break
        time.sleep(0.1)


def test_lines_of_a_task_in_a_file(run_cli, paste, folder):
    run = ("run", f"{folder}/walk.py:Spreading", *HERE, "--store", "my store")
    lines = next_lines(run_cli(*run, "--until", "spread > 1e9", "--steps", "20").out)
    assert set(lines) == {"open", "plot", "extend"}
    opened = eval(lines["open"], {"hs": hs})
    assert type(opened.task).__name__ == "Spreading" and opened.steps == 20
    assert paste(lines["plot"]).status == 0
    assert "40 of 40 steps" in paste(f"{lines['extend']} --on here").out


@pytest.mark.slow
def test_lines_about_code_have_its_file(run_cli, paste, folder, store):
    words = ("--target", f"{folder}/model.py:chain", *SMALL, *HERE)
    threading.Thread(target=interrupt_after_commit, args=(store,)).start()
    result = run_cli("run", "discrete", *words, "--steps", "100000000")
    assert result.status == 130
    line = re.search("`(heliostat resume .*)` continues", result.err)
    resumed = paste(f"{line[1]} --on here --steps 100")
    assert resumed.status == 0 and "complete, 100 of 100 steps" in resumed.out
    opened = eval(next_lines(resumed.out)["open"], {"hs": hs})
    assert opened.task.target.load() is not None


def test_lines_of_errors(run_cli, paste, folder):
    run = ("run", f"{folder}/walk.py:Stroll", *HERE, "--store", "my store")
    path = Path(run_cli(*run, "--json").object["path"])
    missing = run_cli("verify", "0123", "--store", "my store")
    assert paste(re.search("`(heliostat runs .*?)`", missing.error)[1]).status == 0
    with lock.Lock(path):
        busy = run_cli(*run, "--steps", "60")
    for verb in ("logs", "stop"):
        assert paste(re.search(f"`(heliostat {verb} .*?)`", busy.error)[1]).status == 0


def test_a_run_of_an_unknown_class_tells_how_to_give_it(run_cli, paste, copied, store):
    run = copied(store)
    result = paste(f"heliostat verify {run.id}")
    assert result.status == 2 and "--task FILE.py:CLASS" in result.error


def test_a_task_with_its_own_plot_prints_that(run_cli, paste, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_cli("run", "sycophancy", "--limit", "4", *HERE)
    line = next_lines(result.out)["plot"]
    assert line.startswith("heliostat sycophancy plot ") and paste(line).status == 0
    run = line.split()[3]
    assert paste(f"heliostat plot {run}").status == 0  # the first number of its rows


def test_commands_with_values_are_quoted_for_the_shell():
    """Only ``answer.command`` writes commands that hold a path or another value."""
    files = [p for top in ("platform", "tasks") for p in (ROOT / top).rglob("*.py")]
    pattern = re.compile(r"f\".*(?<!this )heliostat [a-z-]+( [a-z-]+)* (--[a-z]+ )?\{")
    lines = [
        f"{file.name}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert len(files) > 100 and not lines, "\n".join(lines)
