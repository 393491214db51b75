"""Engine of untraced tasks: a step is Python, plain or async; a state is JSON."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from heliostat.loop.keys import root_words, step_key
from heliostat.loop.mistakes import check_json, check_pair
from heliostat.loop.schema import (
    OBSERVE,
    STEP,
    RowSchema,
    check_coords,
    check_names,
    dtype_of,
    float_dtype,
    mismatch,
)
from heliostat.loop.state import NamedArrays
from heliostat.loop.work import Member, block_replicas, valid_replicas
from heliostat.task import Task, Var


class PythonStates(NamedTuple):
    """The states of a block's replicas, and the root of their keys."""

    states: list[Any]  # padding included after ``init``
    root: np.ndarray  # (2,) uint32


class PythonEngine:
    """Engine that steps the replicas of a block in Python, concurrently if async.

    A batch has one member here: packs are of traced tasks.
    """

    def __init__(self, task: Task, data: Any, mesh: Mesh) -> None:
        self.task, self.data = task, data

    def compile(self, with_init: bool) -> None:
        """Do nothing: Python needs no compilation."""

    def init(self, block: int, members: Sequence[Member]) -> PythonStates:
        root = root_words(members[0].seed)
        replicas = [int(r) for r in block_replicas(self.task, block)]
        keys = [step_key(root, r, 0) for r in replicas]
        pairs = zip(keys, replicas, strict=True)
        states = [self.task.init(key, r, self.data) for key, r in pairs]
        self._check(states)
        return PythonStates(states, root)

    def advance(
        self, block: int, state: PythonStates, start: int, stop: int
    ) -> tuple[PythonStates, NamedArrays]:
        walk = partial(self._walk, block, state, start, stop)
        states, rows = _run_in_thread(walk)
        values = {
            name: [[row[name] for row in steps] for steps in rows]
            for name in self.task.emits
        }
        return state._replace(states=states), self._columns(STEP, values)

    def observe(self, block: int, state: PythonStates) -> NamedArrays:
        valid = valid_replicas(self.task, block)
        rows = [self.task.observe(one, self.data) for one in state.states[:valid]]
        for row in rows:
            check_names(self.task, OBSERVE, row)
        names = self.task.observes
        return self._columns(OBSERVE, {n: [[row[n]] for row in rows] for n in names})

    def to_host(self, block: int, state: PythonStates) -> NamedArrays:
        valid = valid_replicas(self.task, block)
        self._check(state.states[:valid])
        text = json.dumps(state.states[:valid], sort_keys=True)
        return {"json": np.frombuffer(text.encode(), dtype=np.uint8)[None]}

    def from_host(
        self, block: int, stored: NamedArrays, members: Sequence[Member]
    ) -> PythonStates:
        return PythonStates(_states(stored["json"][0]), root_words(members[0].seed))

    def refresh(self, block: int, state: PythonStates) -> PythonStates:
        states = [self.task.refresh(one, self.data) for one in state.states]
        return state._replace(states=states)

    def adopt(
        self, block: int, stored: NamedArrays, members: Sequence[Member]
    ) -> PythonStates:
        parent = self.from_host(block, stored, members)
        states = [self.task.adopt(one, self.data) for one in parent.states]
        self._check(states)
        return parent._replace(states=states)

    def replica_state(self, stored: NamedArrays, index: int) -> Any:
        return _states(stored["json"])[index]

    def all_replicas(self, stored: Sequence[NamedArrays]) -> list[Any]:
        return [one for state in stored for one in _states(state["json"])]

    async def _walk(
        self, block: int, state: PythonStates, start: int, stop: int
    ) -> tuple[list[Any], list[list[Any]]]:
        """Step all replicas of a block at once; each takes its steps in order.

        Returns:
            States, and rows by replica and step.
        """

        async def walk_replica(index: int, one: Any) -> Any:
            rows = []
            for t in range(start + 1, stop + 1):
                key = step_key(state.root, index, t)
                result = self.task.step(key, one, self.data)
                result = await result if inspect.isawaitable(result) else result
                check_pair(self.task, result)
                one, row = result
                check_names(self.task, STEP, row)
                if t == start + 1:  # before later steps cost time, or money
                    check_json(self.task, one)
                rows.append(row)
            return one, rows

        valid = block_replicas(self.task, block)[: valid_replicas(self.task, block)]
        pairs = zip(valid, state.states, strict=False)
        walks = (walk_replica(int(r), one) for r, one in pairs)
        results: list[Any] = await asyncio.gather(*walks, return_exceptions=True)
        for result in results:  # only now, so that replies to other replicas are kept
            if isinstance(result, BaseException):
                raise result
        return [one for one, _ in results], [rows for _, rows in results]

    def _check(self, states: Sequence[Any]) -> None:
        for state in states:
            check_json(self.task, state)

    def _columns(
        self, schema: RowSchema, values: Mapping[str, list[list[Any]]]
    ) -> NamedArrays:
        """Return arrays ``(1, replicas, steps, ...)`` of all variables."""
        variables = schema.variables(self.task).items()
        return {n: self._column(schema, n, v, values[n])[None] for n, v in variables}

    def _column(
        self, schema: RowSchema, name: str, var: Var, values: list[list[Any]]
    ) -> np.ndarray:
        """Return the values of one variable as an array; never truncate them to fit."""
        dtype = dtype_of(var)
        text = np.dtypes.StringDType() if var.dtype == "str" else None
        array = np.array(values, dtype=text)
        fits = text is not None or np.can_cast(array.dtype, dtype, "same_kind")
        if not fits or array.ndim != 2 + len(var.dims):
            raise mismatch(self.task, schema, name, array.dtype, array.shape[2:])
        check_coords(self.task, schema, name, array.shape[2:])
        return array.astype(dtype)


def _run_in_thread(walk: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine in a thread of its own: a notebook has an event loop already.

    An exception in the waiting thread, such as an interrupt, cancels the coroutine,
    which may be waiting for a server. The coroutine is made in its thread, so that
    one which never begins is not made either.
    """
    x64, begun = float_dtype() == np.float64, Future[Any]()

    async def main() -> Any:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await walk()

    def run() -> Any:
        with jax.enable_x64(x64):  # JAX keeps it per thread
            return asyncio.run(main())

    with ThreadPoolExecutor(1) as thread:
        try:  # an interrupt may come while the thread starts
            return thread.submit(run).result()
        except BaseException:
            if not begun.cancel():  # else it never begins
                loop, task = begun.result()
                with suppress(RuntimeError):  # its loop has just closed
                    loop.call_soon_threadsafe(task.cancel)
            raise


def _states(text: np.ndarray) -> list[Any]:
    return json.loads(text.tobytes().decode())
