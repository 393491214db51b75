"""An interrupt of untraced steps, at the moments at which a signal may come."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

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
        python._run_in_thread(wait())
    assert threading.active_count() == threads
