"""heliostat: reproducible scientific computing on Ray.

A run is a matrix of replicas × steps.  A task says how one replica starts and how it
takes one step; heliostat does the rest: the loop, the workers, the record, the proof.

    import heliostat as hs
    from heliostat_tasks.vmc import VMC

    run = hs.run(VMC(molecule="LiH"), seed=0)      # computed, or found in the store
    run.headline["energy"]                         # value, error, units
    run.rows.energy.plot()                         # an xarray.Dataset
    psi = run.state(step=-1)                       # the last state, a pytree
    hs.extend(run, steps=20_000)                   # exactly as if asked at first
    hs.verify(run)                                 # replays strides, compares digests
    hs.runs(task="vmc").query("energy < -8.07")    # everything ever run, as a table

It imports neither Ray nor PySCF until they are needed.  No module here bears the name
of a verb: importing it would put the module in the verb's place.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heliostat.answer import Answer, Estimate
from heliostat.config.code import Code
from heliostat.config.validate import check_used
from heliostat.errors import Busy, Paused, RequestError, RunFailed, StoreError
from heliostat.fields.conversion import File
from heliostat.task import Task, Var

if TYPE_CHECKING:
    from heliostat.driver.placement import connect
    from heliostat.driver.replay import replay
    from heliostat.driver.tags import tag
    from heliostat.driver.verbs import extend, remove, resume, run, start, stop
    from heliostat.driver.verify import verify
    from heliostat.laws import check_task
    from heliostat.loop.work import Chunk, Limits, Span
    from heliostat.results.catalog import gc, runs
    from heliostat.results.lookup import open_run as open
    from heliostat.results.plotting import plot
    from heliostat.results.run import Run
    from heliostat.sweeps import Range, Sweep, open_sweep, remove_sweep, sweep

__version__ = "0.1.0"

_MODULES = {
    "Chunk": "loop.work",
    "Limits": "loop.work",
    "Range": "sweeps",
    "Run": "results.run",
    "Span": "loop.work",
    "Sweep": "sweeps",
    "check_task": "laws",
    "connect": "driver.placement",
    "extend": "driver.verbs",
    "gc": "results.catalog",
    "open": "results.lookup:open_run",
    "open_sweep": "sweeps",
    "plot": "results.plotting",
    "remove": "driver.verbs",
    "remove_sweep": "sweeps",
    "replay": "driver.replay",
    "resume": "driver.verbs",
    "run": "driver.verbs",
    "runs": "results.catalog",
    "start": "driver.verbs",
    "stop": "driver.verbs",
    "sweep": "sweeps",
    "tag": "driver.tags",
    "verify": "driver.verify",
}

__all__ = [
    "Answer",
    "Busy",
    "Chunk",
    "Code",
    "Estimate",
    "File",
    "Limits",
    "Paused",
    "Range",
    "RequestError",
    "Run",
    "RunFailed",
    "Span",
    "StoreError",
    "Sweep",
    "Task",
    "Var",
    "check_task",
    "check_used",
    "connect",
    "extend",
    "gc",
    "open",
    "open_sweep",
    "plot",
    "remove",
    "remove_sweep",
    "replay",
    "resume",
    "run",
    "runs",
    "start",
    "stop",
    "sweep",
    "tag",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'heliostat' has no attribute '{name}'")
    module, _, other = _MODULES[name].partition(":")
    value = getattr(import_module(f"heliostat.{module}"), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
