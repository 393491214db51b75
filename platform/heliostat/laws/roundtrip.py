"""Laws of round trips: fields, rows and states are read back unchanged."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import yaml

from heliostat import config
from heliostat.driver.ensure import initial_attrs
from heliostat.laws.harness import Harness
from heliostat.loop.run import run
from heliostat.loop.state import digest, rows_digest
from heliostat.store import blocks
from heliostat.store.record import Record


def config_round_trips(bench: Harness) -> str | None:
    """Check that command line, YAML and JSON give the same task, with the same id."""
    from heliostat.cli.fields import parse_fields, to_argv

    task, fields = bench.task, config.passed_fields(bench.task)
    spec = config.specify(task)
    formats = {
        "JSON": json.loads(json.dumps(fields)),
        "YAML": yaml.safe_load(yaml.safe_dump(fields)),
        "the command line": parse_fields(type(task), to_argv(task)),
    }
    for name, values in formats.items():
        if config.specify(config.build(type(task), values)) != spec:
            return f"the task read back from {name} is another one: {values}"
    if config.rebuild(spec, type(task)) != task:
        return "the stored spec rebuilds another task"
    return None


def store_round_trips(bench: Harness) -> str | None:
    """Check that rows and state are read from disk as they were committed."""
    task, spec = bench.task, config.specify(bench.task, bench.seed)
    attrs = initial_attrs(task, spec.identity["task"])
    with tempfile.TemporaryDirectory() as folder:
        record = Record.create(Path(folder) / "task" / spec.id, spec, task, attrs)
        record.allocate(bench.length, task.stride)
        for chunk in run(bench.job(), seconds=1e-9):
            record.commit(chunk, task, bench.length)
        for block, full in bench.expected.items():
            stored = (
                blocks.rows(record, task, block, 0, bench.length),
                blocks.observed(record, task, block, 0, bench.length),
            )
            if rows_digest(*stored) != rows_digest(full.rows, full.observed):
                return f"block {block}: stored rows differ from computed ones"
            state = record.checkpoints.load(block, bench.length)
            if digest(state) != full.strides[-1].state:
                return f"block {block}: the stored state differs from the computed one"
    return None
