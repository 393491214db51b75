"""SIGTERM as an interrupt: ``ray job stop``, Slurm and spot machines end work with it.

A process that nothing prepares for SIGTERM dies at once, and ``ray.init`` installs
handlers of its own, of which one aborts.  ``driver.finish`` catches the interrupt and
writes the status of the run; ``cli`` exits with 130.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn


@contextmanager
def sigterm_interrupts() -> Generator[None]:
    """Raise ``KeyboardInterrupt`` at the first SIGTERM in the block; ignore later ones.

    Only the main thread of a process may do so; in others the block changes nothing.

    Example:
        >>> import os
        >>> try:
        ...     with sigterm_interrupts():
        ...         os.kill(os.getpid(), signal.SIGTERM)
        ... except KeyboardInterrupt:
        ...     print("interrupted")
        interrupted
    """
    if not _in_main_thread() or signal.getsignal(signal.SIGTERM) is _interrupt:
        yield
        return
    with sigterm_restored():
        signal.signal(signal.SIGTERM, _interrupt)
        yield


@contextmanager
def sigterm_restored() -> Generator[None]:
    """Restore the handler of SIGTERM at the end of the block."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if _in_main_thread() and handler is not None:  # None: not installed by Python
            signal.signal(signal.SIGTERM, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _interrupt(*_: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # some senders repeat themselves
    raise KeyboardInterrupt
