"""Batches: one compiled program steps many runs, one member after another.

The fields that a task only computes with (``packable``) are always arguments of its
program: a run computed alone is a batch of one member, so its bits do not depend on the
size of a batch. The number of members is an argument, too: padding costs no steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from heliostat.loop.keys import root_words
from heliostat.loop.schema import float_dtype
from heliostat.loop.work import MAX_MEMBERS, Member
from heliostat.task import Task

Tree = Any


class BatchArgs(NamedTuple):
    """Per-member arguments of a compiled program; if stacked, with a leading axis of
    length ``MAX_MEMBERS``."""

    root: Any  # (2,) uint32
    traced_fields: Mapping[str, Any]  # each ()


def batch_args(task: Task, members: Sequence[Member]) -> BatchArgs:
    """Return the stacked arguments of all members; for a task without packable fields,
    those of its single member."""
    if not task.packable:
        return BatchArgs(root_words(members[0].seed), {})
    roots = pad_members(np.stack([root_words(member.seed) for member in members]))
    fields = {
        name: _stacked([member.traced_fields[name] for member in members])
        for name in task.packable
    }
    return BatchArgs(roots, fields)


def _stacked(values: Sequence[float]) -> np.ndarray:
    dtype = np.int32 if isinstance(values[0], int) else float_dtype()
    return pad_members(np.array(values, dtype))


def pad_members(values: np.ndarray) -> np.ndarray:
    """Return values of members, padded with zeros to ``(MAX_MEMBERS, ...)``."""
    padded = np.zeros((MAX_MEMBERS, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded


def with_traced_fields(task: Task, values: Mapping[str, Any]) -> Task:
    """Return a copy of the task with other values, perhaps tracers, in some fields.

    Its cached properties are not copied: they may depend on those fields.
    """
    if not values:
        return task
    copy, cls = object.__new__(type(task)), type(task)
    attributes = {
        name: value
        for name, value in vars(task).items()
        if not isinstance(getattr(cls, name, None), cached_property)
    }
    vars(copy).update(attributes | dict(values))
    return copy


def map_members(one: Callable[..., Tree], shapes: Tree) -> Callable[..., Tree]:
    """Return ``all(args, count, *common)``: ``one(args, *common)`` for each member.

    Args:
        one: the program of one member.
        shapes: shapes of its result; the results are stacked, ``(MAX_MEMBERS, ...)``.
    """

    def all_members(args: Tree, count: Any, *common: Any) -> Tree:
        def body(i: Any, results: Tree) -> Tree:
            return _put(results, i, one(_take(args, i), *common))

        return jax.lax.fori_loop(0, count, body, _zeros(shapes))

    return all_members


def update_members(one: Callable[..., Tree], shapes: Tree) -> Callable[..., Tree]:
    """Return ``all(states, args, count, *common)``, which updates states in place.

    Args:
        one: the program of one member, ``one(state, args, *common)`` to (state, rows).
        shapes: shapes of its rows; the rows are stacked, ``(MAX_MEMBERS, ...)``.
    """

    def all_members(states: Tree, args: BatchArgs, count: Any, *common: Any) -> Tree:
        def body(i: Any, carry: Tree) -> Tree:
            return _put(carry, i, one(*_take((carry[0], args), i), *common))

        return jax.lax.fori_loop(0, count, body, (states, _zeros(shapes)))

    return all_members


def _take(tree: Tree, i: Any) -> Tree:
    return jax.tree.map(
        lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), tree
    )


def _put(tree: Tree, i: Any, one: Tree) -> Tree:
    return jax.tree.map(
        lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, i, 0), tree, one
    )


def _zeros(shapes: Tree) -> Tree:
    return jax.tree.map(lambda s: jnp.zeros((MAX_MEMBERS, *s.shape), s.dtype), shapes)
