"""What is kept of a sweep: what was asked, and what happened to each of its cells.

    STORE/sweeps/<sweep id>/
      sweep.json      what defines it
      events.jsonl    begun, then for each cell done, pruned, failed, stopped, ...

The numbers lie in the runs; this says which they are, and why some are missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heliostat import config
from heliostat.errors import StoreError
from heliostat.log import Log
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.computing import Outcome
from heliostat.sweeps.plan import Plan

FOLDER = "sweeps"


class Ledger:
    """The folder of one sweep."""

    def __init__(self, store: Path, plan: Plan) -> None:
        self.path = store / FOLDER / plan.id
        self._plan, self._log = plan, Log(self.path / "events.jsonl")

    def begin(self, runs: int) -> None:
        """Write down what was asked for.

        Raises:
            StoreError: if the store cannot be written.
        """
        text = json.dumps(self._plan.identity, indent=1, sort_keys=True)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "sweep.json").write_text(text)
            self.tell("begun", runs=runs, trials=self._plan.trials)
        except OSError as error:
            reason = error.strerror
            raise StoreError(f"store {self.path} is not writable: {reason}") from error

    def tell(self, event: str, **details: Any) -> None:
        self._log.tell(event, **details)

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        state, computed, steps, _, *more = outcome
        told = zip(("reason", "traceback", "retries"), more, strict=True)
        values = {name: config.plain(value) for name, value in cell.values.items()}
        about = {"run": cell.spec.id, "values": values, "computed": computed}
        self.tell(state, **about, steps=steps, **{k: v for k, v in told if v})

    def events(self) -> list[dict[str, Any]]:
        return self._log.events()
