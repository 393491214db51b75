"""Fixtures that call the command line: words in; status, output and messages out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.toy_tasks import HERE, WALK

from heliostat import cli
from heliostat.system import device


class CliResult(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """Output of ``--json``: one object on one line, and nothing else."""
        assert self.out.count("\n") == 1
        return json.loads(self.out, parse_constant=pytest.fail)

    @property
    def error(self) -> str:
        """Error message: the only line on standard error."""
        assert self.err.startswith("heliostat: error: ") and self.err.count("\n") == 1
        return self.err.removeprefix("heliostat: error: ").strip()


@pytest.fixture
def configured(monkeypatch):
    """Recorded arguments of ``configure_process``; this process stays unpinned."""
    calls = []
    monkeypatch.setattr(device, "configure_process", lambda *args: calls.append(args))
    return calls


@pytest.fixture
def run_cli(configured, capsys):
    """Function that runs a command line: ``run_cli("run", "module:Task")``."""

    def call(*words: str | Path) -> CliResult:
        status = cli.main([str(word) for word in words])
        return CliResult(status, *capsys.readouterr())

    return call


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def stored(run_cli, copied, store) -> dict[str, Any]:
    """JSON answer of a complete run."""
    copied(store)
    return run_cli("run", WALK, *HERE, "--json").object
