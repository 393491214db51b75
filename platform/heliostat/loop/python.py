"""Untraced tasks: a step is Python, plain or async, and the state is JSON-able."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from heliostat.loop.keys import cell_key, root_words
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
from heliostat.loop.state import State
from heliostat.loop.work import Member, block_replicas, valid_replicas
from heliostat.task import Task, Var


class PythonStates(NamedTuple):
    """The states of a block, and the root of its keys."""

    states: list[Any]
    root: np.ndarray


class Python:
    """Steps replicas in Python, all of a block at once."""

    def __init__(self, task: Task, data: Any, mesh: Mesh) -> None:
        self.task, self.data = task, data

    def compile(self, fresh: bool) -> None:
        """Nothing to do for Python."""

    def init(self, block: int, lanes: Sequence[Member]) -> PythonStates:
        root = root_words(lanes[0].seed)
        replicas = [int(r) for r in block_replicas(self.task, block)]
        keys = [cell_key(root, r, 0) for r in replicas]
        pairs = zip(keys, replicas, strict=True)
        return PythonStates(
            [self.task.init(key, r, self.data) for key, r in pairs], root
        )

    def advance(
        self, block: int, held: PythonStates, start: int, stop: int
    ) -> tuple[PythonStates, State]:
        states, rows = _apart(self._walk(block, held, start, stop))
        table = {
            name: [[row[name] for row in replica] for replica in rows]
            for name in self.task.emits
        }
        return held._replace(states=states), self._columns(STEP, table)

    def observe(self, block: int, held: PythonStates) -> State:
        """What the task tells of each replica, as arrays ``(1, replicas, 1, ...)``."""
        found = [
            self.task.observe(one, self.data)
            for one in held.states[: valid_replicas(self.task, block)]
        ]
        for one in found:
            check_names(self.task, OBSERVE, one)
        names = self.task.observes
        return self._columns(OBSERVE, {n: [[one[n]] for one in found] for n in names})

    def _columns(self, told: RowSchema, values: Mapping[str, list[list[Any]]]) -> State:
        table = told.variables(self.task).items()
        return {n: self._column(told, n, var, values[n])[None] for n, var in table}

    def _column(
        self, told: RowSchema, name: str, var: Var, values: list[list[Any]]
    ) -> np.ndarray:
        """The values of one variable as an array; nothing is cut to fit."""
        wanted = dtype_of(var)
        text = np.dtypes.StringDType() if var.dtype == "str" else None
        found = np.array(values, dtype=text)
        fits = text is not None or np.can_cast(found.dtype, wanted, "same_kind")
        if not fits or found.ndim != 2 + len(var.dims):
            raise mismatch(self.task, told, name, found.dtype, found.shape[2:])
        check_coords(self.task, told, name, found.shape[2:])
        return found.astype(wanted)

    async def _walk(self, block: int, held: PythonStates, start: int, stop: int) -> Any:
        """All replicas of the block at once; each takes its steps in order."""

        async def replica(index: int, state: Any) -> Any:
            rows = []
            for t in range(start + 1, stop + 1):
                key = cell_key(held.root, index, t)
                result = self.task.step(key, state, self.data)
                state, row = await result if inspect.isawaitable(result) else result
                check_names(self.task, STEP, row)
                rows.append(row)
            return state, rows

        valid = block_replicas(self.task, block)[: valid_replicas(self.task, block)]
        pairs = zip(valid, held.states, strict=False)
        walks = (replica(int(r), s) for r, s in pairs)
        done: list[Any] = await asyncio.gather(*walks, return_exceptions=True)
        for one in done:  # only now: what others are waiting for shall not be lost
            if isinstance(one, BaseException):
                raise one
        return [s for s, _ in done], [rows for _, rows in done]

    def pack(self, block: int, held: PythonStates) -> State:
        text = json.dumps(
            held.states[: valid_replicas(self.task, block)], sort_keys=True
        )
        return {"json": np.frombuffer(text.encode(), dtype=np.uint8)[None]}

    def unpack(self, block: int, state: State, lanes: Sequence[Member]) -> PythonStates:
        return PythonStates(_states(state["json"][0]), root_words(lanes[0].seed))

    def pick(self, state: State, place: int) -> Any:
        return _states(state["json"])[place]

    def stack(self, states: Sequence[State]) -> list[Any]:
        return [one for state in states for one in _states(state["json"])]


def _apart(walk: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, in its own thread: a notebook's has a loop already.

    Whatever interrupts who waits for it cancels it: it may wait for others, and long.
    """
    x64, begun = float_dtype() == np.float64, Future[Any]()

    async def main() -> Any:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await walk

    def run() -> Any:
        with jax.enable_x64(x64):  # JAX keeps it per thread
            return asyncio.run(main())

    with ThreadPoolExecutor(1) as thread:
        walking = thread.submit(run)
        try:
            return walking.result()
        except BaseException:
            if not walking.done():
                loop, task = begun.result()
                with suppress(RuntimeError):  # its loop has just closed
                    loop.call_soon_threadsafe(task.cancel)
            raise


def _states(text: np.ndarray) -> list[Any]:
    return json.loads(text.tobytes().decode())
