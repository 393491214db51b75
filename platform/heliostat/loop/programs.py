"""Programs of a traced task: ``init``, ``advance`` and ``observe`` of one block.

Each is written for one member. If the task has ``packable`` fields, a program loops
over members, and arrays on devices have room for all: ``(MAX_MEMBERS, ...)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from heliostat.config import traced_fields
from heliostat.loop.batching import (
    BatchArgs,
    batch_args,
    map_members,
    update_members,
    with_traced_fields,
)
from heliostat.loop.keys import step_key
from heliostat.loop.mistakes import (
    check_arrays,
    check_first_state,
    check_next_state,
    check_pair,
    traceable,
)
from heliostat.loop.schema import OBSERVE, STEP, check_rows
from heliostat.loop.sharding import ShardLayout
from heliostat.loop.work import MAX_MEMBERS, Member, block_replicas
from heliostat.system.jit import jit
from heliostat.task import Task


class Programs:
    """The programs of a task, not compiled yet, and shapes of their arguments.

    In the signatures below, ``[count]`` is the number of members; only programs of a
    task with ``packable`` fields take it.

    Args:
        data: from ``task.prepare()``.
        shards: the layout of a state on the devices.
    """

    def __init__(self, task: Task, data: Any, shards: ShardLayout) -> None:
        self.task, self.data, self.shards = task, data, shards

    @property
    def init(self) -> Any:
        """``(args, [count], replicas, data)`` to the state before the first step."""
        init = self._batched(self._init, self.template)
        return jit(init, out_shardings=self.shards.split(self.template))

    @property
    def advance(self) -> Any:
        """``(state, args, [count], replicas, start, length, data)`` to the state after
        ``length`` steps, and their rows in a buffer of one stride."""
        advance, rows = self._advance()
        if self.task.packable:
            advance = update_members(advance, rows)
        shardings = (self.shards.split(self.template), self.shards.replicated)
        return jit(advance, out_shardings=shardings, donate_argnums=0)

    @property
    def observe(self) -> Any:
        """``((state, args), [count], data)`` to what the task observes.

        Compiled separately from ``advance``, because it runs once a stride.
        """
        args = ((self.template, self._member_args), self.data)
        shapes = jax.eval_shape(self._hook("observe"), *args)
        check_rows(self.task, OBSERVE, shapes)
        observe = self._batched(self._hook("observe"), shapes)
        return jit(observe, out_shardings=self.shards.replicated)

    @property
    def refresh(self) -> Any:
        """``((state, args), [count], data)`` to the state, its caches computed anew."""
        refresh = self._batched(self._hook("refresh"), self.template)
        return jit(refresh, out_shardings=self.shards.split(self.template))

    def adopt(self, parent: Any) -> Any:
        """Return ``((state, args), [count], data)`` to the state before the first step.

        Args:
            parent: a parent's state of one member, ``(width, ...)``, or its shapes.

        Raises:
            RequestError: if the first state has other shapes than that of ``init``.
        """
        args = ((parent, self._member_args), self.data)
        check_first_state(self.template, jax.eval_shape(self._hook("adopt"), *args))
        adopt = self._batched(self._hook("adopt"), self.template)
        return jit(adopt, out_shardings=self.shards.split(self.template))

    # -- arguments ----------------------------------------------------------------

    @cached_property
    def args(self) -> BatchArgs:
        """Arguments of the right shapes, to compile with."""
        return batch_args(self.task, [Member(0, traced_fields(self.task))])

    def count(self, members: int) -> tuple[Any, ...]:
        """Return the argument ``[count]``, or nothing if programs do not take it."""
        return (np.int32(members),) if self.task.packable else ()

    @cached_property
    def template(self) -> Any:
        """Shapes and dtypes of a block's state, of one member."""
        replicas = block_replicas(self.task, 0)
        return jax.eval_shape(self._init, self._member_args, replicas, self.data)

    @property
    def states(self) -> Any:
        """Shapes, dtypes and shardings of a block's state, of all members."""
        members = (MAX_MEMBERS,) if self.task.packable else ()
        return jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(
                (*members, *x.shape), x.dtype, sharding=s
            ),
            self.template,
            self.shards.split(self.template),
        )

    @cached_property
    def _member_args(self) -> BatchArgs:
        """Arguments of one member, of the right shapes."""
        if not self.task.packable:
            return self.args
        return jax.tree.map(lambda x: x[0], self.args)

    # -- one member ---------------------------------------------------------------

    def _batched(self, one: Callable[..., Any], shapes: Any) -> Callable[..., Any]:
        return map_members(one, shapes) if self.task.packable else one

    def _advance(self) -> tuple[Callable[..., Any], Any]:
        """Trace ``step`` once, and loop over it with a traced start and length.

        Returns:
            The program of one member, and the shapes of the rows that it returns.
        """
        args = (self.template, self._member_args, block_replicas(self.task, 0))
        trace = jax.make_jaxpr(self._step, return_shape=True)
        traced, shapes = trace(*args, np.int32(1), self.data)
        check_next_state(self.task, traced, self.template, shapes[0])
        check_rows(self.task, STEP, shapes[1])
        step, tree = jaxpr_as_fun(traced), jax.tree.structure(shapes)
        rows = {
            k: jax.ShapeDtypeStruct((self.task.stride, *v.shape), v.dtype)
            for k, v in shapes[1].items()
        }

        def advance(
            state: Any,
            args: BatchArgs,
            replicas: Any,
            start: Any,
            length: Any,
            data: Any,
        ) -> Any:
            def body(i: Any, carry: Any) -> Any:
                state, buffer = carry
                leaves = jax.tree.leaves((state, args, replicas, start + i + 1, data))
                state, row = jax.tree.unflatten(tree, step(*leaves))
                return state, {k: v.at[i].set(row[k]) for k, v in buffer.items()}

            buffer = {k: jnp.zeros(v.shape, v.dtype) for k, v in rows.items()}
            return jax.lax.fori_loop(0, length, body, (state, buffer))

        return advance, rows

    def _init(self, args: BatchArgs, replicas: Any, data: Any) -> Any:
        task = with_traced_fields(self.task, args.traced_fields)

        def one(replica: Any) -> Any:
            with traceable(task, "init"):
                state = task.init(step_key(args.root, replica, 0), replica, data)
            check_arrays(task, "init", state)
            return state

        return self._over_block(one)(replicas)

    def _step(
        self, state: Any, args: BatchArgs, replicas: Any, t: Any, data: Any
    ) -> Any:
        task = with_traced_fields(self.task, args.traced_fields)

        def one(state: Any, replica: Any) -> Any:
            with traceable(task, "step"):
                pair = task.step(step_key(args.root, replica, t), state, data)
            check_pair(task, pair)
            check_arrays(task, "step", pair[1])
            return pair

        return self._over_block(one)(state, replicas)

    def _hook(self, name: str) -> Any:
        """Return a hook of the task, ``(state, data)``, for a block of states."""

        def of_block(state_and_args: tuple[Any, BatchArgs], data: Any) -> Any:
            state, args = state_and_args
            task = with_traced_fields(self.task, args.traced_fields)

            def one(state: Any) -> Any:
                with traceable(task, name):
                    return getattr(task, name)(state, data)

            return self._over_block(one)(state)

        return of_block

    def _over_block(self, one: Any) -> Any:
        """Map a function of one replica over a block: by ``vmap``, or directly at width
        1, where ``lax.cond`` stays a branch."""
        if self.task.width > 1:
            return jax.vmap(one)

        def single(*args: Any) -> Any:
            args = jax.tree.map(lambda x: x[0], args)
            return jax.tree.map(lambda x: jnp.asarray(x)[None], one(*args))

        return single
