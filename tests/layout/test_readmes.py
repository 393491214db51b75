"""Code in the READMEs: word for word what works in a fresh session."""

from __future__ import annotations

import ast
import builtins
import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import heliostat as hs
from heliostat import cli

ROOT = Path(__file__).resolve().parents[2]
READMES = [
    str(path.relative_to(ROOT))
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("tasks/**/README.md")])
    if path.name == "README.md"
]

MINUTES = {
    "README.md": "LiH to 20,000 steps, and a sweep of digits",
    "tasks/heliostat_tasks/bilevel/README.md": "3,000 steps of digits",
    "tasks/heliostat_tasks/learn/README.md": "3,000 steps of a 10 × 10 lattice",
    "tasks/heliostat_tasks/vmc/README.md": "LiH",
}
"""Sessions that take minutes, by the reason; the nightly line executes them."""

TEMPLATES = ("RUN", "SWEEP", "KEY", "...", " t", "walk.py", "label ", "scales ")
"""Parts of lines that need a run, a transcript, a table or another thing first."""


def python_of(readme: str) -> str:
    """Return all blocks of Python, in their order, as one session."""
    text = (ROOT / readme).read_text()
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))


def commands_of(readme: str) -> list[str]:
    """Return the lines of blocks and indented lines that start with ``heliostat``."""
    text = (ROOT / readme).read_text().replace("\\\n", " ")
    return re.findall(r"^(?: {4})?(heliostat .*)$", text, re.M)


def complete(line: str) -> bool:
    return not any(part in line.partition("#")[0] for part in TEMPLATES)


def test_the_table_of_class_attributes_is_complete_and_right():
    text = (ROOT / "tasks/README.md").read_text().partition("## Class attributes")[2]
    table = re.findall(r"^\| `(\w+)` \| `(.+?)` \| .+ \|$", text, re.M)
    declared = (name for name in vars(hs.Task)["__annotations__"] if name[0] != "_")
    defaults = {name: getattr(hs.Task, name) for name in declared}
    assert {name: ast.literal_eval(value) for name, value in table} == defaults


DRY = [
    line
    for readme in READMES
    for line in commands_of(readme)
    if line.split()[1] in ("run", "sweep") and complete(line)
]


@pytest.fixture
def session(tmp_path, monkeypatch) -> Path:
    """Fresh folder with the files that the READMEs call a reader's own."""
    monkeypatch.chdir(tmp_path)
    spins = np.sign(np.random.default_rng(0).normal(size=(200, 25)))
    couplings = 0.1 * (np.eye(16, k=1) + np.eye(16, k=-1))
    np.save("spins.npy", spins), np.save("J.npy", couplings)
    np.save("h.npy", np.ones(16))
    Path("qubo.coo").write_text("# vartype=BINARY\n0 0 -1.0\n0 1 2.0\n1 1 -1.0\n")
    Path("density.py").write_text("def log_p(x): return -0.1 * (x**2).sum()\n")
    for name in ("train.amat", "test.amat"):
        np.savetxt(name, np.random.default_rng(1).integers(0, 2, (60, 16)), "%d")
    Path("labels.csv").write_text("preferred,kind\n" + "A,1\nB,-1\nA,0\n" * 20)
    pair = {"chosen": "\n\nHuman: hi\n\nAssistant: hello", "rejected": ""}
    pair["rejected"] = pair["chosen"].replace("hello", "go away")
    Path("helpful-base.jsonl.gz").write_bytes(gzip.compress(json.dumps(pair).encode()))
    return tmp_path


@pytest.mark.parametrize("readme", READMES)
def test_every_name_in_python_is_imported_or_defined(readme):
    tree = ast.parse(python_of(readme))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {a.asname or a.name.partition(".")[0] for a in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    unknown = {node.id for node in names} - bound - set(dir(builtins))
    assert not unknown


@pytest.mark.parametrize("readme", READMES)
def test_every_import_in_python_works(readme):
    tree = ast.parse(python_of(readme))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), readme, "exec"), {})


@pytest.mark.parametrize("line", DRY)
def test_every_run_and_sweep_is_a_request_that_makes_sense(line, session, capsys):
    words = shlex.split(line, comments=True)[1:]
    assert cli.main([*words, "--dry-run"]) == 0, capsys.readouterr().err
    assert not (session / "runs").exists()


SESSIONS = [
    pytest.param(
        readme,
        marks=[pytest.mark.nightly if readme in MINUTES else pytest.mark.slow],
    )
    for readme in READMES
]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("readme", SESSIONS)
def test_python_runs_word_for_word_in_a_fresh_session(readme, session, monkeypatch):
    monkeypatch.delenv("HELIOSTAT_STORE")
    (session / "session.py").write_text(python_of(readme))
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": pythonpath()}
    for _ in range(2):  # again, with what is stored by then
        result = subprocess.run(
            [sys.executable, "session.py"],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert result.returncode == 0, result.stderr


def pythonpath() -> str:
    return os.pathsep.join(str(ROOT / part) for part in ("platform", "tasks"))
