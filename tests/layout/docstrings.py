"""Public objects and the parts that their docstrings have or lack."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Public(NamedTuple):
    """An object that users reach: its place, its name and its syntax tree."""

    path: str
    name: str
    node: Node
    lines: list[str]  # of the file


def incomplete(root: Path) -> list[tuple[str, int, str]]:
    """Public objects that lack a part: path, line, and the parts."""
    return [
        (p.path, p.node.lineno, f"{p.name} lacks {', '.join(parts)}")
        for p in public_objects(root)
        if (parts := list(missing(p.node, p.lines)))
    ]


def counted(root: Path) -> tuple[int, int]:
    """Number of public objects, and of those with all parts."""
    objects = list(public_objects(root))
    return len(objects), len(objects) - len(incomplete(root))


def public_objects(root: Path) -> Iterator[Public]:
    """Objects of the kernels, and of ``__all__`` of the platform and of each task."""
    platform, tasks = root / "platform", root / "tasks"
    for file in sorted((platform / "heliostat/kernels").rglob("*.py")):
        yield from _public(root, file)
    packages = [(platform, platform / "heliostat/__init__.py")]
    packages += [
        (tasks, p) for p in sorted(tasks.glob("heliostat_tasks/*/__init__.py"))
    ]
    for top, package in packages:
        for name in sorted(_exported(package)):
            file, original = _definition(top, package, name)
            yield from _public(root, file, original)


def _exported(package: Path) -> set[str]:
    """Names in ``__all__``."""
    for node in ast.parse(package.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _definition(top: Path, file: Path, name: str) -> tuple[Path, str]:
    """File that defines a name which another file imports, and its name there."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _definition(top, _source(top, node.module), alias.name)
    return file, name


def _source(top: Path, module: str) -> Path:
    path = top.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _public(root: Path, file: Path, only: str = "") -> Iterator[Public]:
    """Public objects that a file defines, or one of them, with their methods."""
    path, text = str(file.relative_to(root)), file.read_text()
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if not isinstance(node, Node) or node.name.startswith("_"):
            continue
        if only in ("", node.name):
            yield Public(path, node.name, node, lines)
            if isinstance(node, ast.ClassDef):
                yield from _methods(path, node, lines)


def _methods(path: str, cls: ast.ClassDef, lines: list[str]) -> Iterator[Public]:
    for node in cls.body:
        plain = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if plain and not node.name.startswith("_"):
            yield Public(path, f"{cls.name}.{node.name}", node, lines)


def missing(node: Node, lines: list[str]) -> Iterator[str]:
    """Parts that the docstring of an object should have and lacks.

    A function says ``Args`` for each parameter, ``Returns`` and ``Raises`` where it
    does either, and shows an ``Example``. A class explains each field and shows an
    example. A method needs no example, since its class has one; one without
    parameters says in its sentence what it returns.

    An example is one that runs: ``>>>``. Only a function that is not public may show
    code in a literal block instead, where no test can run it.
    """
    text = ast.get_docstring(node) or ""
    if not text:
        yield "a docstring"
        return
    yield from _undescribed(node, text, lines)
    if isinstance(node, ast.ClassDef):
        if not _is_error(node) and ">>>" not in text:
            yield "an example"
        return
    method = [a.arg for a in node.args.args[:1]] in (["self"], ["cls"])
    if not method and ">>>" not in text:
        yield "an example"
    if (
        _parameters(node)
        and _returns(node)
        and not re.search(r"^(Returns|Yields):", text, re.M)
    ):
        yield "Returns"
    for name in _raised(node):
        if not re.search(rf"^Raises:(.|\n)*\b{name}\b", text, re.M):
            yield f"Raises {name}"


def _undescribed(node: Node, text: str, lines: list[str]) -> Iterator[str]:
    """Parameters, or fields without a comment, that ``Args`` does not name."""
    names = (
        _fields(node, lines) if isinstance(node, ast.ClassDef) else _parameters(node)
    )
    for name in names:
        if not re.search(
            rf"^(Args|Attributes):(.|\n)*^ +[\w, *]*\b{name}\b[\w, *]*:", text, re.M
        ):
            yield f"Args {name}"


def _parameters(node: Node) -> list[str]:
    assert not isinstance(node, ast.ClassDef)
    a = node.args
    extra = [x for x in (a.vararg, a.kwarg) if x]
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, *extra)]
    return [n for n in names if n not in ("self", "cls") and not n.startswith("_")]


def _fields(cls: ast.ClassDef, lines: list[str]) -> list[str]:
    """Annotated fields that have neither a comment nor a docstring behind them."""
    documented = {
        a
        for a, b in zip(cls.body, cls.body[1:], strict=False)
        if isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant)
    }
    return [
        n.target.id
        for n in cls.body
        if isinstance(n, ast.AnnAssign)
        and isinstance(n.target, ast.Name)
        and n not in documented
        and not n.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(n.annotation)
        and not any("#" in line for line in lines[n.lineno - 1 : n.end_lineno])
    ]


def _is_error(cls: ast.ClassDef) -> bool:
    bases = " ".join(map(ast.unparse, cls.bases))
    return "Error" in bases or "Exception" in bases or "Warning" in bases


def _returns(node: Node) -> bool:
    returns = None if isinstance(node, ast.ClassDef) else node.returns
    return returns is not None and ast.unparse(returns) not in ("None", "NoReturn")


def _raised(node: Node) -> list[str]:
    """Exceptions that the body itself raises by name, but for unimplemented methods."""
    raised = [n.exc for n in ast.walk(node) if isinstance(n, ast.Raise) and n.exc]
    calls = [ast.unparse(e.func if isinstance(e, ast.Call) else e) for e in raised]
    named = {c.rpartition(".")[2] for c in calls}
    return sorted(n for n in named if n[:1].isupper() and n != "NotImplementedError")
