"""Imports between source files as a graph, and its circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def circles(root: Path, sources: tuple[str, ...]) -> list[list[str]]:
    """Groups of files that import each other, directly or through others.

    Every import counts: late ones and those for type checking. Only ``Task.verbs`` may
    import commands, which import their task.
    """
    graph = _graph(root, sources)
    return sorted(sorted(group) for group in _components(graph) if len(group) > 1)


def _graph(root: Path, sources: tuple[str, ...]) -> dict[str, set[str]]:
    """Files that each file imports; paths relative to the root."""
    modules = {
        _name(path.relative_to((root / top).parent)): str(path.relative_to(root))
        for top in sources
        for path in (root / top).rglob("*.py")
    }
    return {
        path: {modules[n] for n in _imported(root / path, modules)} - {path}
        for path in modules.values()
    }


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, modules: dict[str, str]) -> Iterator[str]:
    """Names of the modules that a file imports; of a package its modules if named."""
    for node in _nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else str(node.module)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a file outside of ``Task.verbs``."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.FunctionDef) and node.name == "verbs"):
            yield node
            yield from _nodes(node)


def _components(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Strongly connected components, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> Iterator[list[str]]:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                yield from visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            place = stack.index(node)
            component = stack[place:]
            del stack[place:]
            yield component

    for node in sorted(graph):
        if node not in order:
            yield from visit(node)
