"""The command line in a process of its own: imports, cores, pipes, scripts."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from heliostat import cli


def python(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, **more
    )


def test_help_imports_nothing_heavy():
    code = """
        import sys
        from heliostat.cli import main
        assert main(["--help"]) == 0 and main(["run", "--help"]) == 0
        heavy = {"jax", "ray", "pyscf", "xarray", "zarr", "pandas", "numpy"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    result = python("-c", textwrap.dedent(code))
    assert result.returncode == 0, result.stderr


def test_here_is_pinned_and_stdout_is_pure(tmp_path):
    file = tmp_path / "pinned.py"
    file.write_text(
        textwrap.dedent("""
        import os
        from dataclasses import dataclass
        import heliostat as hs

        @dataclass(frozen=True)
        class Pinned(hs.Task):
            emits = {"cores": hs.Var((), "int32")}
            traced, steps = False, 1
            def init(self, key, replica, data):
                return {}
            def step(self, key, state, data):
                return {}, {"cores": len(os.sched_getaffinity(0))}
            def headline(self, rows):
                return {"cores": hs.Estimate(float(rows.cores[-1]))}
        """)
    )
    words = ["-m", "heliostat", "run", f"{file}:Pinned", "--on", "here", "--json"]
    result = python(*words, cwd=tmp_path)
    assert result.returncode == 0 and "Pinned" in result.stderr
    assert json.loads(result.stdout)["headline"]["cores"]["value"] == 1


def test_a_closed_pipe_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, "-m", "heliostat", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert result.returncode in (0, 1) and result.stderr == ""


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["--", "vmc"], ["run", "vmc", "--on", "auto"]),
        (["vmc", "--on=here"], ["run", "vmc", "--on=here"]),
    ],
)
def test_the_script_for_clusters_runs(monkeypatch, words, passed):
    script = Path(__file__).parents[2] / "tasks" / "run.py"
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    monkeypatch.setattr(cli, "main", lambda words: words)
    assert runpy.run_path(str(script))["main"]() == passed
