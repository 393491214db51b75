"""Search ``hypergradient``: trials that follow the slope of the validation loss.

Each trial is an ordinary run.  The task's ``validation`` at its end is differentiated
through the whole run, and the next trial lies downhill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from heliostat import config
from heliostat.answer import Estimate
from heliostat.config.registry import name_of
from heliostat.driver.finish import error_line
from heliostat.driver.placement import Placement
from heliostat.errors import RequestError, RunFailed
from heliostat.loop.forward_mode import ForwardMode, ValueAndGrad
from heliostat.sweeps.axes import SEED, Range, is_whole
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Metric, Plan
from heliostat.sweeps.search import CellStream, Extras, RunVector, Search
from heliostat.sweeps.search.ask_tell import Measure, ProposedTrials, recorded_cells
from heliostat.sweeps.search.draws import random_shares
from heliostat.sweeps.search.rprop import LOSS, Rprop
from heliostat.system import device
from heliostat.system.compilation import enable_compilation_cache
from heliostat.task import Task

EVENT = "differentiated"

DIM = "knob"
"""The dim of gradients."""


class GradientDescent(Search):
    """Trials one after another, by the signs of the slopes of the validation loss."""

    depends_on = ("metrics", "schedule", "steps")
    trials, metric = 12, LOSS
    no_until = "search hypergradient: runs have one length, leave until out"

    def check(self, plan: Plan) -> None:
        task, cls, search = plan.task, type(plan.task), "search hypergradient"
        if cls.validation is Task.validation:
            raise RequestError(
                f"{search}: {name_of(cls)} has no validation(state, data), the loss "
                "that is differentiated"
            )
        for name, axis in plan.axes.items():
            if name == SEED:
                continue
            if not isinstance(axis, Range):
                raise RequestError(
                    f"over {name}: {search} needs a range, LOW..HIGH[:log]"
                )
            if name not in task.packable or is_whole(cls, name):
                raise RequestError(f"over {name}: {search} goes over {_fields(task)}")
        if plan.metrics != (Metric(LOSS),):
            raise RequestError(f"{search}: it minimises validation, leave metric out")
        if plan.schedule:
            raise RequestError(f"{search}: runs have one length, leave scheduler out")

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        return recorded_cells(plan, journal)

    def cells(self, plan: Plan, journal: Journal, placement: Placement) -> CellStream:
        return _stream(plan, journal, SlopeMeter(plan, journal, placement))

    def preview_cells(
        self, plan: Plan, journal: Journal, placement: Placement
    ) -> CellStream:
        return _stream(plan, journal, None)

    def extras(
        self,
        plan: Plan,
        journal: Journal,
        cells: Sequence[Cell],
        outcomes: Mapping[str, CellOutcome],
    ) -> Extras:
        stored, names = recorded_slopes(journal), list(_ranges(plan))
        done = {id_: o for id_, o in outcomes.items() if o.state == "done"}
        ends = {id_: (id_, outcome.steps) for id_, outcome in done.items()}
        slopes = {id_: stored[end] for id_, end in ends.items() if end in stored}
        vectors = {id_: [s.gradient[n] for n in names] for id_, s in slopes.items()}
        about = "d validation / d knob"
        return Extras(
            {id_: {LOSS: _estimate(slope)} for id_, slope in slopes.items()},
            vectors={"gradient": RunVector(DIM, names, about, vectors)},
        )


def _fields(task: Task) -> str:
    names = [name for name in task.packable if not is_whole(type(task), name)]
    known = f"here {', '.join(names)}" if names else "here there are none"
    return f"float fields that are packable, {known}"


def _estimate(slope: ValueAndGrad) -> Estimate:
    return Estimate(slope.loss, source="where the run ended")


def _ranges(plan: Plan) -> dict[str, Range]:
    return {n: axis for n, axis in plan.axes.items() if isinstance(axis, Range)}


def _stream(plan: Plan, journal: Journal, measure: Measure | None) -> ProposedTrials:
    """Descend from the middle of each range; with a ``search_seed`` from a drawn
    point."""
    ranges, seed = _ranges(plan), plan.search_seed
    count = len(ranges)
    start = random_shares(1, count, seed)[0].tolist() if seed else [0.5] * count
    names = [LOSS, *ranges]
    optimiser = Rprop(ranges, start)
    return ProposedTrials(plan, journal, optimiser, names, measure, sequential=True)


class SlopeMeter:
    """Measures the validation loss and its gradient at the end of each run.

    The process that drives the sweep computes them, and the journal keeps them.
    """

    def __init__(self, plan: Plan, journal: Journal, placement: Placement) -> None:
        self._journal, self._placement = journal, placement
        self._names = list(_ranges(plan))
        self._stored = recorded_slopes(journal)
        self._forward = ForwardMode(plan.task, self._names, plan.x64)

    def __call__(self, cell: Cell, outcome: CellOutcome) -> dict[str, float]:
        """Return the loss and the slope along each axis; NaN if the run failed.

        Raises:
            RunFailed: if the task cannot be differentiated.
        """
        if outcome.state != "done":
            return dict.fromkeys((LOSS, *self._names), math.nan)
        key = cell.id, outcome.steps
        if key not in self._stored:
            self._stored[key] = self._slope(cell, outcome.steps)
            self._write(*key, self._stored[key])
        return {LOSS: self._stored[key].loss, **self._stored[key].gradient}

    def _slope(self, cell: Cell, steps: int) -> ValueAndGrad:
        enable_compilation_cache()
        device.single_thread_xla(
            self._placement.gpus if self._placement.on == "here" else 0
        )
        try:
            return self._forward.value_and_grad(
                config.traced_fields(cell.task), cell.seed, steps
            )
        except RequestError:
            raise
        except Exception as error:
            message = f"run {cell.id} cannot be differentiated"
            raise RunFailed(f"{message}: {error_line(error)}") from error

    def _write(self, run: str, steps: int, slope: ValueAndGrad) -> None:
        gradient = {
            name: config.float_to_json(value) for name, value in slope.gradient.items()
        }
        numbers: dict[str, Any] = {
            LOSS: config.float_to_json(slope.loss),
            "gradient": gradient,
        }
        self._journal.append(EVENT, run=run, steps=steps, **numbers)


def recorded_slopes(journal: Journal) -> dict[tuple[str, int], ValueAndGrad]:
    """Return the slopes in a journal, by run and length."""
    slopes = {}
    for event in journal.events():
        if event["event"] == EVENT:
            gradient = {
                name: config.float_from_json(v) for name, v in event["gradient"].items()
            }
            slope = ValueAndGrad(config.float_from_json(event[LOSS]), gradient)
            slopes[event["run"], event["steps"]] = slope
    return slopes


SEARCHES = {"hypergradient": GradientDescent()}
