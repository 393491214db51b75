"""Tasks as bytes, with their code where another process cannot import it."""

from __future__ import annotations

import sys
import threading

from ray.cloudpickle import cloudpickle

from heliostat.config import registry
from heliostat.errors import RequestError
from heliostat.task import Task

_PICKLING = threading.Lock()
"""Lock around pickling by value: cloudpickle registers the module for the whole
process, and threads of one process drive the cells of a sweep."""


def pickle_task(task: Task) -> bytes:
    """Pickle a task, with its code if other processes cannot import it.

    Raises:
        RequestError: if a field or the code cannot be pickled.
    """
    try:
        return _pickle(task)
    except Exception as error:  # objects refuse in many ways
        reason = " ".join(str(error).split())
        name = type(task).__name__
        raise RequestError(
            f"{name} cannot be sent to another process: {reason}; or compute here: "
            "hs.run(..., on='here')"
        ) from error


def _pickle(task: Task) -> bytes:
    module = sys.modules.get(type(task).__module__)
    main = module is None or module.__name__ == "__main__"  # by value anyway
    if registry.is_registered(type(task)) or main:
        return cloudpickle.dumps(task)
    with _PICKLING:
        cloudpickle.register_pickle_by_value(module)
        try:
            return cloudpickle.dumps(task)
        finally:
            cloudpickle.unregister_pickle_by_value(module)


def unpickle_task(content: bytes) -> Task:
    """Return the task; this imports what its code imports, such as JAX."""
    return cloudpickle.loads(content)
