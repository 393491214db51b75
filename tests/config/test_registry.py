"""Installed tasks: a plugin that is broken in any way is listed as broken."""

from __future__ import annotations

import pytest

import heliostat as hs
from heliostat import cli
from heliostat.config import registry

GOOD = """
import heliostat as hs
class Task(hs.Task):
    "A plugin that works."
"""

BROKEN = {
    "exits": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "exits_silently": ("raise SystemExit", "SystemExit"),
    "raises": ("1 / 0", "ZeroDivisionError: division by zero"),
    "panics": ("class Panic(BaseException): ...\nraise Panic('of Rust')", "of Rust"),
    "closes": ("raise GeneratorExit", "GeneratorExit"),
    "lacks": ("import no_such_package", "no_such_package"),
    "stutters": ("def def", "SyntaxError"),
    "empty": ("", "no attribute 'Task'"),
    "foreign": ("Task = 3", "is not a subclass of hs.Task"),
}


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Installed packages: one that works, named as a verb is named, and broken ones."""
    texts = {name: text for name, (text, _) in BROKEN.items()} | {"run": GOOD}
    for name, text in texts.items():
        (tmp_path / f"plugin_{name}.py").write_text(text)
    about = tmp_path / "plugins-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugins\n")
    entries = [f"{name} = plugin_{name}:Task" for name in texts]
    text = "\n".join([f"[{registry.GROUP}]", *entries])
    (about / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    registry.available.cache_clear()
    yield
    registry.available.cache_clear()


def test_broken_plugins_are_listed_as_broken_beside_the_others(plugins, capsys):
    assert cli.main(["tasks"]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "A plugin that works." in table and "vmc" in table
    assert table.count("is broken") == len(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_refused_with_its_reason(plugins, name, capsys):
    with pytest.raises(hs.RequestError, match="is broken") as error:
        registry.find_task(name)
    assert BROKEN[name][1] in str(error.value)
    for words in (["run", name], ["show", name], [name, "verb"]):
        assert cli.main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_no_plugin_takes_a_verb_away(plugins, capsys):
    assert cli.main(["run", "vcm"]) == 2
    assert "did you mean 'vmc'?" in capsys.readouterr().err


def test_a_file_without_a_class_is_refused_with_the_spelling():
    with pytest.raises(hs.RequestError, match="a task in a file is walk"):
        registry.load_task("walk.py")


def test_an_interrupt_is_no_fault_of_a_plugin(plugins, tmp_path):
    (tmp_path / "plugin_raises.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry.find_task("raises")
