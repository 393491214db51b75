"""Cells that follow the slope of the validation loss: search ``hypergradient``.

Each trial is an ordinary run.  What its task's ``validation`` says at the end of it is
differentiated through the whole run, and the next trial lies downhill.
"""

from __future__ import annotations

import math

from heliostat import config
from heliostat.config.registry import name_of
from heliostat.driver.finish import first_line
from heliostat.driver.placement import Placement
from heliostat.errors import RequestError, RunFailed
from heliostat.loop.forward_mode import ForwardMode, ValueAndGrad
from heliostat.sweeps.axes import SEED, Range, is_whole
from heliostat.sweeps.cells import Cell, random_shares
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import HYPERGRADIENT, VALIDATION, Metric, Plan
from heliostat.sweeps.search.ask_tell import Searched
from heliostat.sweeps.search.rprop import Rprop
from heliostat.system import device
from heliostat.task import Task

EVENT = "differentiated"

TRIALS = 12
"""How many there are unless it is said."""


def check(plan: Plan) -> None:
    """
    Raises:
        RequestError: if the task has no loss to differentiate, or a field is none that
            it could be differentiated by; or for what has no meaning here.
    """
    task, cls, search = plan.task, type(plan.task), f"search {HYPERGRADIENT}"
    if cls.validation is Task.validation:
        raise RequestError(
            f"{search}: {name_of(cls)} has no validation(state, data), the loss that "
            "is differentiated"
        )
    for name, axis in plan.axes.items():
        if name != SEED and not isinstance(axis, Range):
            raise RequestError(f"over {name}: {search} wants a range, LOW..HIGH[:log]")
        if name != SEED and (name not in task.packable or is_whole(cls, name)):
            raise RequestError(f"over {name}: {search} goes over {_such(task)}")
    if plan.metrics != (Metric(VALIDATION),):
        raise RequestError(f"{search}: it minimises validation, leave metric out")
    if plan.schedule:
        raise RequestError(f"{search}: runs have one length, leave scheduler out")


def _such(task: Task) -> str:
    names = [name for name in task.packable if not is_whole(type(task), name)]
    told = f", here {', '.join(names)}" if names else ", here there are none"
    return f"float fields that are packable{told}"


class Descending(Searched):
    """The cells of trials one after another, each where the slope of the last led."""

    def __init__(self, plan: Plan, ledger: Journal, place: Placement) -> None:
        self._known = slopes(ledger)
        axes = plan.axes.items()
        self._ranges = {n: axis for n, axis in axes if isinstance(axis, Range)}
        self._tangents = ForwardMode(plan.task, list(self._ranges), plan.x64)
        self._place = place
        super().__init__(plan, ledger)

    @property
    def names(self) -> list[str]:
        """The loss, and the slope along each axis."""
        return [VALIDATION, *self._ranges]

    @property
    def runs(self) -> int:
        return len(self.all) if self._over else super().runs

    @property
    def _over(self) -> bool:
        """Whether it stands where it stood."""
        return len(self._open) >= len(self._waiting) and self._searcher.still

    def next(self) -> list[Cell]:
        """The cells of the next trial; none while the last one is under way."""
        under_way = len(self._open) > len(self._told)
        return [] if under_way or self._over else super().next()

    def _made(self) -> Rprop:
        seed, count = self.plan.search_seed, len(self._ranges)
        start = random_shares(1, count, seed)[0].tolist() if seed else [0.5] * count
        return Rprop(self._ranges, start)

    def _found(self, cell: Cell, outcome: CellOutcome) -> dict[str, float]:
        nothing = ValueAndGrad(math.nan, dict.fromkeys(self._ranges, math.nan))
        found = self._slope(cell, outcome.steps) if outcome.state == "done" else nothing
        return {VALIDATION: found.loss, **found.gradient}

    def _slope(self, cell: Cell, steps: int) -> ValueAndGrad:
        """As it is written down, or computed: by the process that drives the sweep.

        Raises:
            RunFailed: if the task cannot be differentiated.
        """
        if known := self._known.get((cell.spec.id, steps)):
            return known
        device.remember_programs()
        device.narrow(self._place.gpus if self._place.on == "here" else 0)
        try:
            found = self._tangents.value_and_grad(
                config.traced_fields(cell.task), cell.seed, steps
            )
        except RequestError:
            raise
        except Exception as error:
            told = f"run {cell.spec.id} cannot be differentiated"
            raise RunFailed(f"{told}: {first_line(error)}") from error
        self._known[cell.spec.id, steps] = found
        gradient = {name: _plain(v) for name, v in found.gradient.items()}
        about = {VALIDATION: _plain(found.loss), "gradient": gradient}
        self._ledger.append(EVENT, run=cell.spec.id, steps=steps, **about)
        return found


def slopes(ledger: Journal) -> dict[tuple[str, int], ValueAndGrad]:
    """What is written down, by run and length."""
    found = {}
    for event in ledger.events():
        if event["event"] == EVENT:
            gradient = {name: _number(v) for name, v in event["gradient"].items()}
            slope = ValueAndGrad(_number(event["validation"]), gradient)
            found[event["run"], event["steps"]] = slope
    return found


def _plain(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
