"""An interrupt of untraced steps, at the moments at which a signal may come."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from support import toy_tasks

from heliostat.loop import python


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_the_thread_starts_ends_what_waits(monkeypatch, when):
    """Starting a thread takes a while, in which a signal may come."""
    threads = threading.active_count()

    class Interrupted(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            if when == "after":
                super().submit(*args, **kwargs)
            raise KeyboardInterrupt

    async def wait():
        await asyncio.sleep(3600)

    monkeypatch.setattr(python, "ThreadPoolExecutor", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        python._run_in_thread(wait)
    assert threading.active_count() == threads


def interrupt_at(line):
    """Return a trace function that interrupts the n-th line of the engine's file."""
    lines = iter(range(line))

    def trace(frame, event, _):
        if frame.f_code.co_filename != python.__file__:
            return None
        if event == "line" and next(lines, None) is None:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    return trace


def test_an_interrupt_at_any_line_leaves_nothing_behind():
    """A coroutine that is never awaited would be an error of this test."""
    task = toy_tasks.Slow(pause=0)
    engine = python.PythonEngine(task, None, Mesh(jax.devices()[:1], "replica"))
    state = python.PythonStates([{"t": 0}], np.zeros(2, np.uint32))
    threads, interrupted = set(threading.enumerate()), 0
    for line in itertools.count():
        sys.settrace(interrupt_at(line))
        try:
            engine.advance(0, state, 0, 1)
            break
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
    gc.collect()
    for thread in set(threading.enumerate()) - threads:
        thread.join(60)  # seconds; a thread without its pool ends soon
    assert set(threading.enumerate()) == threads
    assert interrupted > 10
