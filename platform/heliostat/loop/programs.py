"""What a pure task does to a block, as programs: written for one lane, for all lanes.

Where a task has fields that are arguments (``packable``), programs go from lane to
lane, and arrays on devices have room for all, ``(LANES, ...)``.
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
from heliostat.loop.keys import cell_key
from heliostat.loop.schema import OBSERVE, STEP, check_rows
from heliostat.loop.sharding import ShardLayout
from heliostat.loop.work import MAX_MEMBERS, Member, block_replicas
from heliostat.system.jit import jit
from heliostat.task import Task


class Programs:
    """The three programs of a task, not compiled yet, and shapes of their arguments.

    Args:
        data: what the task has prepared.
        shards: how a state lies on the devices.
    """

    def __init__(self, task: Task, data: Any, shards: ShardLayout) -> None:
        self.task, self.data, self.shards = task, data, shards

    @property
    def starting(self) -> Any:
        """``(apart, [lanes], replicas, data)`` to the state before the first step."""
        init = self._each(self._init, self.template)
        return jit(init, out_shardings=self.shards.split(self.template))

    @property
    def advancing(self) -> Any:
        """``(state, apart, [lanes], replicas, start, length, data)`` to the state after
        ``length`` steps, and their rows in a buffer of a stride."""
        advance, rows = self._strides()
        if self.task.packable:
            advance = update_members(advance, rows)
        shardings = (self.shards.split(self.template), self.shards.replicated)
        return jit(advance, out_shardings=shardings, donate_argnums=0)

    @property
    def observing(self) -> Any:
        """``((state, apart), [lanes], data)`` to what is told of the state.

        A program of its own: a step does not wait for what is told seldom.
        """
        found = jax.eval_shape(self._seen, (self.template, self._lane), self.data)
        check_rows(self.task, OBSERVE, found)
        return jit(self._each(self._seen, found), out_shardings=self.shards.replicated)

    # -- shapes -------------------------------------------------------------------

    @cached_property
    def apart(self) -> BatchArgs:
        """What programs are told of lanes."""
        return batch_args(self.task, [Member(0, traced_fields(self.task))])

    @cached_property
    def template(self) -> Any:
        """A block's state, in one lane."""
        replicas = block_replicas(self.task, 0)
        return jax.eval_shape(self._init, self._lane, replicas, self.data)

    @property
    def states(self) -> Any:
        """The same of all lanes, and how it lies on the devices."""
        lanes = (MAX_MEMBERS,) if self.task.packable else ()
        return jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct((*lanes, *x.shape), x.dtype, sharding=s),
            self.template,
            self.shards.split(self.template),
        )

    def count(self, lanes: int) -> tuple[Any, ...]:
        """What a program is told of how many lanes there are, if it asks."""
        return (np.int32(lanes),) if self.task.packable else ()

    @cached_property
    def _lane(self) -> BatchArgs:
        """What is told of one lane."""
        if not self.task.packable:
            return self.apart
        return jax.tree.map(lambda x: x[0], self.apart)

    # -- one lane -----------------------------------------------------------------

    def _each(self, one: Callable[..., Any], shapes: Any) -> Callable[..., Any]:
        return map_members(one, shapes) if self.task.packable else one

    def _strides(self) -> tuple[Callable[..., Any], Any]:
        """One program for every start and length within a stride; traces step once.

        Returns:
            The program of a lane, and the shapes of the rows that it gives.
        """
        args = (self.template, self._lane, block_replicas(self.task, 0))
        trace = jax.make_jaxpr(self._step, return_shape=True)
        traced, shapes = trace(*args, np.int32(1), self.data)
        check_rows(self.task, STEP, shapes[1])
        step, tree = jaxpr_as_fun(traced), jax.tree.structure(shapes)
        rows = {
            k: jax.ShapeDtypeStruct((self.task.stride, *v.shape), v.dtype)
            for k, v in shapes[1].items()
        }

        def advance(
            state: Any,
            lane: BatchArgs,
            replicas: Any,
            start: Any,
            length: Any,
            data: Any,
        ) -> Any:
            def body(i: Any, carry: Any) -> Any:
                state, buffer = carry
                args = (state, lane, replicas, start + i + 1, data)
                state, row = jax.tree.unflatten(tree, step(*jax.tree.leaves(args)))
                return state, {k: v.at[i].set(row[k]) for k, v in buffer.items()}

            buffer = {k: jnp.zeros(v.shape, v.dtype) for k, v in rows.items()}
            return jax.lax.fori_loop(0, length, body, (state, buffer))

        return advance, rows

    def _init(self, lane: BatchArgs, replicas: Any, data: Any) -> Any:
        task = with_traced_fields(self.task, lane.traced_fields)

        def one(replica: Any) -> Any:
            return task.init(cell_key(lane.root, replica, 0), replica, data)

        return self._over_block(one)(replicas)

    def _step(
        self, state: Any, lane: BatchArgs, replicas: Any, t: Any, data: Any
    ) -> Any:
        task = with_traced_fields(self.task, lane.traced_fields)

        def one(state: Any, replica: Any) -> Any:
            return task.step(cell_key(lane.root, replica, t), state, data)

        return self._over_block(one)(state, replicas)

    def _seen(self, lane: tuple[Any, BatchArgs], data: Any) -> Any:
        state, (_, numbers) = lane
        task = with_traced_fields(self.task, numbers)
        return self._over_block(lambda one: task.observe(one, data))(state)

    def _over_block(self, one: Any) -> Any:
        """``vmap``, but width 1 is called as it is: ``lax.cond`` stays a branch."""
        if self.task.width > 1:
            return jax.vmap(one)

        def single(*args: Any) -> Any:
            args = jax.tree.map(lambda x: x[0], args)
            return jax.tree.map(lambda x: jnp.asarray(x)[None], one(*args))

        return single
