"""All verbs, in the order in which ``--help`` lists them.

Each verb passes its options to a function of ``hs`` and formats the result.  Those
functions import their modules when they are called, so that ``--help`` and messages
about mistyped options appear at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliostat.cli.inspect import export, logs, plot, runs, show, tasks, watch
from heliostat.cli.remove import gc, rm
from heliostat.cli.runs import extend, resume, run, start, stop
from heliostat.cli.sweeps import sweep
from heliostat.cli.tags import tag
from heliostat.cli.verify import check, verify

VERBS: tuple[Any, ...] = (
    *(tasks, show, run, start, sweep, resume, extend, stop, watch, logs),
    *(tag, rm, gc, plot, export, verify, check, runs),
)

TASK_VERBS: Mapping[str, Any] = {
    "run": run,
    "start": start,
    "sweep": sweep,
    "check": check,
}
"""Verbs that take the fields of a task as options."""
