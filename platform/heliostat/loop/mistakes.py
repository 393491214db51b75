"""Mistakes in ``init`` and ``step`` that would end in an error of JAX or JSON.

Each is refused in one line that names the line of code: before the first step, or at
the first one of an untraced task.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from heliostat.config.lines import definition, location
from heliostat.errors import RequestError
from heliostat.loop.sharding import leaf_name
from heliostat.system.tracers import remedy_of
from heliostat.task import Task


@contextmanager
def traceable(task: Task, method: str) -> Generator[None]:
    """Refuse a method that JAX cannot trace, with the remedy.

    Raises:
        RequestError: if the method needs the value of something traced.
    """
    try:
        yield
    except Exception as error:
        if remedy := remedy_of(error):
            line = location(error.__traceback__, task)
            raise RequestError(f"{_name(task)}: {method}: {remedy}{line}") from error
        raise


@contextmanager
def exit_refused() -> Generator[None]:
    """Fail where the code of a task ends the process, which would look like an answer.

    Raises:
        RuntimeError: in place of ``SystemExit``.
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(f"the task ends the process, exit({error.code})") from error


def check_arrays(task: Task, method: str, tree: Any) -> None:
    """Check that a state of ``init``, or a row, has arrays and numbers alone.

    Raises:
        RequestError: for the first leaf of another type.
    """
    leaves = jax.tree_util.tree_leaves_with_path(
        tree, is_leaf=lambda leaf: leaf is None
    )
    for path, leaf in leaves:
        number = hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex)
        if not number and not (leaf is None and method == "init"):
            raise RequestError(
                f"{_name(task)}: {method} returns {leaf_name(path) or 'a state'} of "
                f"type {type(leaf).__name__}, expected an array or a number"
                f"{definition(task, method)}"
            )


def check_pair(task: Task, result: Any) -> None:
    """Check that ``step`` returns a state and a row.

    Raises:
        RequestError: if it returns anything else.
    """
    if type(result) is tuple and len(result) == 2 and isinstance(result[1], Mapping):
        return
    kinds = type(result).__name__
    if type(result) is tuple:
        kinds = f"({', '.join(type(item).__name__ for item in result)})"
    raise RequestError(
        f"{_name(task)}: step returns {kinds}, expected a state and a dict, the row"
        f"{definition(task, 'step')}"
    )


def check_next_state(task: Task, program: Any, before: Any, after: Any) -> None:
    """Check that ``step`` returns a state of the form, shapes and dtypes of ``init``.

    Args:
        task: the task of both.
        program: the traced step; its first results are the leaves of ``after``.
        before: arrays of the state of a block, or their shapes, ``(width, ...)``.
        after: the same of the state after a step.

    Raises:
        RequestError: for the first leaf that differs.
    """
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise RequestError(
            f"{_name(task)}: step returns a {_form(after)}, init gave a {_form(before)}"
            f"{definition(task, 'step')}"
        )
    olds = jax.tree_util.tree_leaves_with_path(before)
    for index, (path, old) in enumerate(olds):
        new = jax.tree.leaves(after)[index]
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise RequestError(
                f"{_name(task)}: step returns {leaf_name(path) or 'a state'} "
                f"{_type(new)}, init gave {_type(old)}{_origin(program, index, task)}"
            )


def check_first_state(expected: Any, state: Any) -> None:
    """Check that a stored state, or what ``adopt`` makes of it, fits the task.

    Args:
        expected: shapes of the state of a block, ``(width, ...)``.
        state: the same of the state to start from.

    Raises:
        RequestError: for the first leaf that differs.
    """
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(state),
        jax.tree.leaves(expected),
        strict=True,
    )
    for (path, leaf), like in pairs:
        if (leaf.shape[1:], leaf.dtype) != (like.shape[1:], like.dtype):
            raise RequestError(
                f"the state to start from has {leaf_name(path)} {_type(leaf)}, the "
                f"task expects {_type(like)}: give its fields the values of the run "
                "that the state is from"
            )


def check_json(task: Task, state: Any) -> None:
    """Check that the state of an untraced task comes back from JSON as it is.

    Raises:
        RequestError: for the first part that would not.
    """
    for place, value in _not_json(state, "state"):
        kind = type(value).__name__
        named = "; write state._asdict()" if hasattr(value, "_asdict") else ""
        raise RequestError(
            f"{_name(task)}: {place} is of type {kind}, which does not come back from "
            "JSON; expected dict with text keys, list, str, int, float, bool or None"
            f"{named}"
        )


def _not_json(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a value that JSON does not hold, each after its place."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"a key of {place}", key
            yield from _not_json(item, f"{place}[{key!r}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{place}[{index}]")
    elif not isinstance(value, str | int | float | None):
        yield place, value


def _origin(program: Any, index: int, task: Task) -> str:
    """Return the line of a task that made a result of a traced step.

    A result may have passed operations of the platform since; the line is the nearest
    one before them.
    """
    makers = {id(out): eqn for eqn in program.jaxpr.eqns for out in eqn.outvars}
    variable = program.jaxpr.outvars[index]
    while maker := makers.get(id(variable)):
        trace = maker.source_info.traceback
        line = location(trace.as_python_traceback(), task) if trace else ""
        if line or not maker.invars:
            return line or definition(task, "step")
        variable = maker.invars[0]
    return definition(task, "step")


def _form(tree: Any) -> str:
    paths = jax.tree_util.tree_leaves_with_path(tree)
    names = [name for path, _ in paths if (name := leaf_name(path))]
    return type(tree).__name__ + (f" with {', '.join(names)}" if names else "")


def _type(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape[1:])}"


def _name(task: Task) -> str:
    return type(task).__name__
