"""Tasks as bytes, with their code where another process cannot import it."""

from __future__ import annotations

import sys
import threading

from ray.cloudpickle import cloudpickle

from heliostat.config import registry
from heliostat.task import Task

_PICKLING = threading.Lock()
"""Lock around pickling by value: cloudpickle registers the module for the whole
process, and threads of one process drive the cells of a sweep."""


def pickle_task(task: Task) -> bytes:
    """Pickle a task, with its code if other processes cannot import it."""
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
