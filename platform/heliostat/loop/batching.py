"""Lanes: cells of a pack, stepped one after another by one compiled program.

The fields that a task only computes with (``packable``) are arguments of its program,
always: a cell alone is one lane, and its bits are those that it has among others.  How
many lanes there are is an argument, too: nothing is computed for padding.
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
    """In what lanes differ, as arguments of a program: of one lane, or ``(LANES, ...)``
    of all."""

    root: Any  # (2,) uint32
    traced_fields: Mapping[str, Any]  # each ()


def batch_args(task: Task, lanes: Sequence[Member]) -> BatchArgs:
    """What a program is told of lanes: of the one that there is if it has no knobs."""
    if not task.packable:
        return BatchArgs(root_words(lanes[0].seed), {})
    roots = pad_members(np.stack([root_words(lane.seed) for lane in lanes]))
    knobs = {
        name: _knob([lane.traced_fields[name] for lane in lanes])
        for name in task.packable
    }
    return BatchArgs(roots, knobs)


def _knob(values: Sequence[float]) -> np.ndarray:
    whole = isinstance(values[0], int)
    return pad_members(np.array(values, np.int32 if whole else float_dtype()))


def pad_members(values: np.ndarray) -> np.ndarray:
    """Room for all lanes that a program can take."""
    room = np.zeros((MAX_MEMBERS, *values.shape[1:]), values.dtype)
    room[: len(values)] = values
    return room


def with_traced_fields(task: Task, knobs: Mapping[str, Any]) -> Task:
    """The task with what may be tracers in the place of fields.

    What it has derived from its own numbers and keeps is left behind.
    """
    if not knobs:
        return task
    lane, cls = object.__new__(type(task)), type(task)
    kept = {
        name: value
        for name, value in vars(task).items()
        if not isinstance(getattr(cls, name, None), cached_property)
    }
    vars(lane).update(kept | dict(knobs))
    return lane


def map_members(one: Callable[..., Tree], shapes: Tree) -> Callable[..., Tree]:
    """``one(lane, ...)`` of every lane, ``(LANES, ...)``: ``every(lanes, count, ...)``.

    Args:
        shapes: of what it gives.
    """

    def every(lanes: Tree, count: Any, *common: Any) -> Tree:
        def at(i: Any, found: Tree) -> Tree:
            return _put(found, i, one(_take(lanes, i), *common))

        return jax.lax.fori_loop(0, count, at, _room(shapes))

    return every


def update_members(one: Callable[..., Tree], shapes: Tree) -> Callable[..., Tree]:
    """The same of ``one(state, apart, ...)``, which gives the next state, and more.

    States are replaced where they lie.

    Args:
        shapes: of what it gives beside the state.
    """

    def every(states: Tree, aparts: BatchArgs, count: Any, *common: Any) -> Tree:
        def at(i: Any, carry: Tree) -> Tree:
            given = _take((carry[0], aparts), i)
            return _put(carry, i, one(*given, *common))

        return jax.lax.fori_loop(0, count, at, (states, _room(shapes)))

    return every


def _take(tree: Tree, i: Any) -> Tree:
    return jax.tree.map(
        lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), tree
    )


def _put(tree: Tree, i: Any, one: Tree) -> Tree:
    return jax.tree.map(
        lambda x, y: jax.lax.dynamic_update_index_in_dim(x, y, i, 0), tree, one
    )


def _room(shapes: Tree) -> Tree:
    return jax.tree.map(lambda s: jnp.zeros((MAX_MEMBERS, *s.shape), s.dtype), shapes)
