"""Every example in a docstring runs, and prints what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
from pathlib import Path

import pytest

from heliostat.driver.spawn import _SPAWNED

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"heliostat": ROOT / "platform", "heliostat_tasks": ROOT / "tasks"}

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _modules() -> dict[str, Path]:
    """Modules with examples by name, found without importing them."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for package, root in PACKAGES.items()
        for path in sorted((root / package).rglob("*.py"))
    }
    return {
        name.removesuffix(".__init__"): path
        for name, path in files.items()
        if ">>> " in path.read_text()
    }


MODULES = _modules()


def _examples(path: Path) -> list[doctest.DocTest]:
    """Docstrings with examples, read from the source, so that no decorator can hide
    one."""
    parser, tests = doctest.DocTestParser(), []

    def visit(node: ast.AST, name: str) -> None:
        documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            line = node.body[0].lineno
            tests.append(parser.get_doctest(text, {}, name, str(path), line))
        for child in ast.iter_child_nodes(node):
            visit(child, f"{name}.{child.name}" if hasattr(child, "name") else name)

    visit(ast.parse(path.read_text()), path.stem)
    return [test for test in tests if test.examples]


@pytest.fixture(scope="session")
def _folder(tmp_path_factory):
    """One folder for all examples; no driver of theirs outlives the session."""
    yield tmp_path_factory.mktemp("examples")
    for process in _SPAWNED:
        process.wait(timeout=60)


@pytest.fixture(autouse=True)
def _own_store(_folder, monkeypatch):
    """All examples share a store, so that each run is computed once."""
    monkeypatch.chdir(_folder)
    monkeypatch.setenv("HELIOSTAT_STORE", str(_folder / "store"))
    monkeypatch.setenv("MPLBACKEND", "agg")


@pytest.mark.slow  # together: most compile, and some start processes
@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    report: list[str] = []
    for test in _examples(MODULES[name]):
        test.globs = vars(module).copy()
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("name", MODULES)
def test_every_example_runs(name):
    """None is skipped, or stands where the runner does not see it."""
    examples = [e for test in _examples(MODULES[name]) for e in test.examples]
    assert not any(doctest.SKIP in example.options for example in examples)
    lines = MODULES[name].read_text().splitlines()
    assert len(examples) == sum(line.lstrip().startswith(">>> ") for line in lines)
