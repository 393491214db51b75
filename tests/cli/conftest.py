"""The command line as tests use it: words in; status, output and messages out."""

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
        """What ``--json`` printed: one object on one line, and nothing else."""
        assert self.out.count("\n") == 1
        return json.loads(self.out, parse_constant=pytest.fail)

    @property
    def error(self) -> str:
        """The one line that a mistake is answered with."""
        assert self.err.startswith("heliostat: error: ") and self.err.count("\n") == 1
        return self.err.removeprefix("heliostat: error: ").strip()


@pytest.fixture
def configured(monkeypatch):
    """What the command line would have pinned; the process of the tests stays free."""
    calls = []
    monkeypatch.setattr(device, "configure_process", lambda *args: calls.append(args))
    return calls


@pytest.fixture
def run_cli(configured, capsys):
    """``run_cli("run", "support.toy_tasks:Walk")``: what the command result."""

    def typed(*words: str | Path) -> CliResult:
        status = cli.main([str(word) for word in words])
        return CliResult(status, *capsys.readouterr())

    return typed


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def stored(run_cli, copied, store) -> dict[str, Any]:
    """A complete run, as ``--json`` tells of it."""
    copied(store)
    return run_cli("run", WALK, *HERE, "--json").object
