"""Count how far the source keeps the house's rules of names, prose and size.

    python tests/layout/report.py                        # one line per rule
    python tests/layout/report.py platform/heliostat/loop   # every finding below a path

The tests of this folder hold each count at zero.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))  # also where this is a script

from layout import docstrings
from layout.imports import circles

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("platform/heliostat", "tasks/heliostat_tasks")

ROOT_MODULES = {"__init__", "__main__", "answer", "errors", "task"}

FIELD_GERUNDS = {
    "annealing": "simulated annealing",
    "batching": "automatic batching",
    "bit_packing": "bit packing",
    "compiled": "the engine of compiled programs, beside `python`",
    "encoding": "an encoding",
    "grading": "model grading",
    "mixing": "mixing of Markov chains",
    "plotting": "as in xarray and pandas",
    "retraining": "retraining of a model",
    "sampling": "statistical sampling",
    "scoring": "scoring by a preference model",
    "scripted": "a scripted assistant",
    "sharding": "as in JAX",
    "signing": "signing of documents",
    "spring": "SPRING, an acronym",
    "tempering": "parallel tempering",
    "training": "training of a model",
    "pretraining": "training before training, of a wavefunction",
}
"""Words in -ing and -ed that are nouns of their field."""

OPENERS = {"What", "Whether", "How", "Who", "Which", "Where", "That", "Whose", "Whom"}
"""Words that begin a riddle instead of a sentence about the object."""

LOCALS = {"told", "asked", "wanted", "found", "here", "there"}
"""Names of locals that do not say what they hold."""

SHARED_CLASSES = {"State", "Data"}
"""Class names that the contract gives to a part of every task."""

LONGEST_FILE, LONG_FUNCTION, VERY_LONG_FUNCTION = 330, 20, 40


class Finding(NamedTuple):
    """A place where a rule is broken."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Function(NamedTuple):
    """Length of a function in lines, less its docstring."""

    path: str
    line: int
    name: str
    lines: int


@cache
def files() -> dict[str, ast.Module]:
    """Syntax trees of all source files, by their path."""
    paths = [path for top in SOURCES for path in sorted((ROOT / top).rglob("*.py"))]
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text()) for p in paths}


def _nodes(*kinds: type) -> Iterator[tuple[str, ast.AST]]:
    for path, tree in files().items():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, kinds))


def root_modules() -> list[Finding]:
    """Modules at the root of ``heliostat`` beyond the public words."""
    modules = (ROOT / SOURCES[0]).glob("*.py")
    extra = sorted(m for m in modules if m.stem not in ROOT_MODULES)
    return [Finding(str(m.relative_to(ROOT)), 1, "belongs in a folder") for m in extra]


def import_circles() -> list[Finding]:
    """Circles of files by any import: late ones and those for type checking count."""
    return [
        Finding(members[0], 1, f"circle of {len(members)} files: {', '.join(members)}")
        for members in circles(ROOT, SOURCES)
    ]


def gerund_modules() -> list[Finding]:
    """Modules and folders named by a gerund or participle."""
    names = {
        part.removesuffix(".py"): path for path in files() for part in _parts(path)
    }
    return [
        Finding(path, 1, f"'{name}' is no noun of its field")
        for name, path in names.items()
        if re.search(r"(ing|ed)$", name) and name not in FIELD_GERUNDS
    ]


def _parts(path: str) -> tuple[str, ...]:
    return Path(path).parts[2:]


def riddles() -> list[Finding]:
    """Docstrings whose first word asks a question."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        Finding(path, getattr(node, "lineno", 1), f"docstring begins with {words[0]}")
        for path, node in _nodes(*kinds)
        if (words := (ast.get_docstring(node) or "").split())  # type: ignore[arg-type]
        and words[0].strip(",") in OPENERS
    ]


def vague_locals() -> list[Finding]:
    """Bindings of names that do not say what they hold."""
    return [
        Finding(path, node.lineno, f"local '{name}'")
        for path, node in _nodes(ast.Name, ast.arg)
        if (name := _bound(node)) in LOCALS
    ]


def _bound(node: ast.AST) -> str:
    if isinstance(node, ast.arg):
        return node.arg
    stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    return node.id if stored else ""


def double_classes() -> list[Finding]:
    """Class names that stand for two classes."""
    homes = defaultdict(list)
    for path, node in _nodes(ast.ClassDef):
        homes[node.name].append((path, node.lineno))
    return [
        Finding(
            *places[0], f"class {name} also in {', '.join(p for p, _ in places[1:])}"
        )
        for name, places in homes.items()
        if len(places) > 1 and name not in SHARED_CLASSES
    ]


def incomplete_docstrings() -> list[Finding]:
    """Public objects whose docstring lacks a part that readers need."""
    return [Finding(*missing) for missing in docstrings.incomplete(ROOT)]


def long_files() -> list[Finding]:
    """Files above the limit."""
    sizes = {path: _lines(path) for path in files()}
    return [
        Finding(path, 1, f"{size} lines")
        for path, size in sizes.items()
        if size > LONGEST_FILE
    ]


def _lines(path: str) -> int:
    return (ROOT / path).read_text().count("\n")


@cache
def functions() -> tuple[Function, ...]:
    """Every function of the source, with its length."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return tuple(
        Function(path, node.lineno, node.name, _length(node))
        for path, node in _nodes(*kinds)
    )


def _length(node: ast.AST) -> int:
    document = ast.get_docstring(node, clean=False) or ""  # type: ignore[arg-type]
    first, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
    return last - first + 1 - (document.count("\n") + 1 if document else 0)


def long_functions() -> list[Finding]:
    """Functions above forty lines."""
    return [
        Finding(f.path, f.line, f"{f.name} has {f.lines} lines")
        for f in functions()
        if f.lines > VERY_LONG_FUNCTION
    ]


def share_above(lines: int) -> float:
    """Share of functions that are longer than so many lines."""
    return sum(f.lines > lines for f in functions()) / len(functions())


RULES: dict[str, Callable[[], list[Finding]]] = {
    "modules at the root beyond the public words": root_modules,
    "circles of files": import_circles,
    "modules named by gerund or participle": gerund_modules,
    "docstrings that begin with a question word": riddles,
    "locals named told, asked, wanted, found, here, there": vague_locals,
    "class names with two meanings": double_classes,
    "public objects with incomplete docstrings": incomplete_docstrings,
    "files above 330 lines": long_files,
}


def main(paths: list[str]) -> None:
    """Print the count of each rule, and the findings below the given paths."""
    for rule, search in {**RULES, "functions above 40 lines": long_functions}.items():
        findings = search()
        print(f"{len(findings):5d}  {rule}")
        for finding in findings:
            if any(finding.path.startswith(p.rstrip("/")) for p in paths):
                print(f"         {finding}")
    total, documented = docstrings.counted(ROOT)
    print(f"{documented / total:5.0%}  of {total} public objects have all parts")
    print(f"{share_above(LONG_FUNCTION):5.1%}  of functions above 20 lines")
    print(f"{share_above(VERY_LONG_FUNCTION):5.1%}  above 40")
    print(f"{len(files()):5d}  files, {sum(map(_lines, files()))} lines")


if __name__ == "__main__":
    main(sys.argv[1:])
