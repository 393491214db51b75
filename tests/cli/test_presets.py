"""Presets and files of fields: what goes before what."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import toy_tasks
from support.toy_tasks import WALK

from heliostat.config import presets


@pytest.fixture
def preset_task(tmp_path):
    """A task in a file, with presets beside it."""
    file, folder = tmp_path / "with_presets.py", tmp_path / "presets"
    file.write_text(Path(toy_tasks.__file__).read_text())
    folder.mkdir()
    (folder / "quick.yaml").write_text("sigma: 1e-3\nchains: 2\nsteps: 20\n")
    return f"{file}:Walk"


def test_typed_goes_before_file_before_preset(run_cli, preset_task, tmp_path):
    plan = ("run", preset_task, "--dry-run", "--json")
    found = run_cli(*plan, "--preset", "quick").object
    assert found["fields"] == {"sigma": 0.001, "chains": 2} and found["steps"] == 20
    file = tmp_path / "mine.yaml"
    file.write_text("chains: 3\nsteps: 30\n")
    words = ("--preset", "quick", "--config", str(file))
    found = run_cli(*plan, *words).object
    assert found["fields"] == {"sigma": 0.001, "chains": 3} and found["steps"] == 30
    found = run_cli(*plan, *words, "--chains", "4", "--steps", "10").object
    assert found["fields"] == {"sigma": 0.001, "chains": 4} and found["steps"] == 10
    assert "did you mean 'quick'?" in run_cli(*plan[:2], "--preset", "quik").error
    assert "quick" in run_cli("show", preset_task).out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("chainz: 3", "walk has no field 'chainz'; did you mean 'chains'?"),
        ("- 1", "expected a mapping"),
        ("a: [", "is no YAML"),
        ("steps: 0", "steps 0"),
        ("chains: 1.5", "chains=1.5: expected an int"),
    ],
)
def test_a_file_is_checked_like_what_is_typed(run_cli, tmp_path, text, line):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert line in run_cli("run", WALK, "--config", file, "--dry-run").error


def test_yaml_means_what_it_says(tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text("molecule: NO\nlr: 1e-3\nsmooth: true\nterms: 8\n")
    fields = {"molecule": "NO", "lr": 0.001, "smooth": True, "terms": 8}
    assert presets.read(file) == presets.Preset(fields, None)
