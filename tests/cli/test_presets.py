"""Precedence of presets, files of fields and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import toy_tasks
from support.toy_tasks import WALK

from heliostat.fields import presets


@pytest.fixture
def preset_task(tmp_path):
    """Return the address of a task in a file, with presets beside it."""
    file, folder = tmp_path / "with_presets.py", tmp_path / "presets"
    file.write_text(Path(toy_tasks.__file__).read_text())
    folder.mkdir()
    (folder / "quick.yaml").write_text("sigma: 1e-3\nchains: 2\nsteps: 20\n")
    return f"{file}:Walk"


def test_options_override_the_file_which_overrides_the_preset(
    run_cli, preset_task, tmp_path
):
    command = ("run", preset_task, "--dry-run", "--json")
    answer = run_cli(*command, "--preset", "quick").object
    assert answer["fields"] == {"sigma": 0.001, "chains": 2} and answer["steps"] == 20
    file = tmp_path / "mine.yaml"
    file.write_text("chains: 3\nsteps: 30\n")
    words = ("--preset", "quick", "--config", str(file))
    answer = run_cli(*command, *words).object
    assert answer["fields"] == {"sigma": 0.001, "chains": 3} and answer["steps"] == 30
    answer = run_cli(*command, *words, "--chains", "4", "--steps", "10").object
    assert answer["fields"] == {"sigma": 0.001, "chains": 4} and answer["steps"] == 10
    assert "did you mean 'quick'?" in run_cli(*command[:2], "--preset", "quik").error
    assert "quick" in run_cli("show", preset_task).out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("chainz: 3", "walk has no field 'chainz'; did you mean 'chains'?"),
        ("- 1", "expected a mapping"),
        ("a: [", "is not valid YAML"),
        ("steps: 0", "steps 0"),
        ("chains: 1.5", "chains=1.5: expected an int"),
    ],
)
def test_a_file_is_checked_like_options(run_cli, tmp_path, text, line):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert line in run_cli("run", WALK, "--config", file, "--dry-run").error


def test_yaml_is_version_1_2(tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text("molecule: NO\nlr: 1e-3\nhead: smooth\nterms: 8\n")
    fields = {"molecule": "NO", "lr": 0.001, "head": "smooth", "terms": 8}
    assert presets.read(file) == presets.Preset(fields, None)
