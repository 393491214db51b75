"""Searches: which cells a sweep has, how far each runs, and what more it reports.

The rest of a sweep asks its :class:`Search` and never tests its name.  In reading
order:

    grid, draws      all cells at once: listed values, or draws
    ask_tell         trials one by one, proposed from earlier results
    optuna           the optimisers of Optuna; ``quiet`` imports Ray Tune silently
    hypergradient    descent through whole runs; ``rprop`` chooses its steps
    asha             a scheduler that prunes the worst cells at rungs
    pbt              a scheduler that trains a population; ``selection`` is its rule
    continuation     a scheduler that starts each cell from its neighbour

To add a search, write one module in this folder, with a table ``SEARCHES`` of its name
and its :class:`Search`; nothing else changes.  A search that draws all trials at once
needs one function::

    SEARCHES = {"halton": Draws(halton_shares)}  # (count, axes, seed) -> (count, axes)

A search that learns from results gives ``depends_on`` and a stream of :meth:`cells`:
``ask_tell.ProposedTrials`` with any optimiser that can ask and tell, as in ``optuna``.
A scheduler decides how far cells run, or from which state they start.  It is a
:class:`WrappedSearch` in a table ``SCHEDULERS``, as in ``asha``: the class is called
with the search that the user chose, and overrides what the scheduler changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple, Protocol

from heliostat.answer import Estimate
from heliostat.driver.placement import Placement
from heliostat.errors import RequestError, did_you_mean
from heliostat.results.goal import Goal
from heliostat.sweeps.axes import SEED
from heliostat.sweeps.cells import TRIAL, Cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Plan


class CellStream(Protocol):
    """Cells as a sweep asks for them: all at once, or one trial after another."""

    @property
    def all(self) -> list[Cell]:
        """The cells so far."""
        ...

    @property
    def runs(self) -> int:
        """The number of runs there will be at most."""
        ...

    @property
    def ending(self) -> str:
        """Reason why no cells follow although there could be more; else empty."""
        ...

    def ask(self) -> Sequence[Cell]:
        """Return the next cells; none if active cells must end first, or at the end."""
        ...

    def tell(self, cell: Cell, outcome: CellOutcome) -> None:
        """Receive the outcome of a cell."""


class FixedCells:
    """Stream of cells that are known at the start; each run comes once.

    Args:
        runs: the number of runs at most, if further ones may follow.
    """

    ending = ""

    def __init__(self, cells: list[Cell], runs: int | None = None) -> None:
        self.all = cells
        self._rest = list({cell.id: cell for cell in cells}.values())
        self.runs = len(self._rest) if runs is None else runs

    def ask(self) -> list[Cell]:
        cells, self._rest = self._rest, []
        return cells

    def tell(self, cell: Cell, outcome: CellOutcome) -> None:
        pass


class RunVector(NamedTuple):
    """A labelled vector of each run, for the dataset."""

    dim: str
    labels: Sequence[str]
    long_name: str
    values: Mapping[str, Sequence[float]]  # by run


class Extras(NamedTuple):
    """Results of a search beyond the headlines of its runs."""

    estimates: Mapping[str, Mapping[str, Estimate]] = {}  # by run: further numbers
    labels: Mapping[str, Mapping[str, int]] = {}  # by name and run: coordinates
    vectors: Mapping[str, RunVector] = {}  # by name: variables


class Search:
    """A rule that chooses the cells of a sweep; by default trials of drawn values."""

    draws: bool = True
    """It takes ranges, a number of trials and a ``search_seed``."""
    trials: int | None = None
    """The default number of trials."""
    metric: str | None = None
    """The number that it minimises by itself, if the user chooses none."""
    depends_on: tuple[str, ...] = ()
    """Fields of the plan that belong to the identity, because cells depend on them."""
    judges: bool = False
    """It is a scheduler that compares runs by one metric, after ``grace`` steps."""
    packs: bool = True
    """All cells end at the same step, so that they may share one program."""
    no_until: str = ""
    """The message that refuses a condition at which runs end; empty to accept it."""

    def check(self, plan: Plan) -> None:
        """Check the parts of a plan that only this search knows.

        Raises:
            RequestError: if the plan makes no sense.
        """

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        """Return the cells that the plan and the journal decide on."""
        raise NotImplementedError

    def cells(self, plan: Plan, journal: Journal, placement: Placement) -> CellStream:
        """Return the cells to compute, as a stream.

        Args:
            journal: receives every decision, so that it can be repeated.
            placement: placement of the sweep.
        """
        return FixedCells(self.recorded(plan, journal))

    def preview_cells(
        self, plan: Plan, journal: Journal, placement: Placement
    ) -> CellStream:
        """Return the cells that follow from stored results, as a stream for a preview;
        compute nothing."""
        return self.cells(plan, journal, placement)

    def goals(
        self, plan: Plan, journal: Journal, until: str | None
    ) -> Callable[[Cell], Goal]:
        """Return the function that gives a cell its goal."""
        return lambda cell: Goal(cell.task, plan.steps or cell.task.steps, until)

    def dims(self, plan: Plan) -> tuple[str, ...]:
        """Return the dims of the cells."""
        return (TRIAL, SEED) if SEED in plan.axes else (TRIAL,)

    def extras(
        self,
        plan: Plan,
        journal: Journal,
        cells: Sequence[Cell],
        outcomes: Mapping[str, CellOutcome],
    ) -> Extras:
        """Return results beyond the headlines of the runs."""
        return Extras()

    def chart(self, fields: int) -> str:
        """Return the kind of plot that shows all of a sweep over so many fields."""
        return "line" if fields < 2 else "parallel"


class WrappedSearch(Search):
    """A search changed by a scheduler: every method that is not overridden is that of
    the inner search, and runs end where the scheduler decides."""

    depends_on = ("metrics", "schedule", "steps")
    judges = True
    packs = False
    no_until = "until: a scheduler ends runs already, give one of the two"

    def __init__(self, inner: Search) -> None:
        self.inner = inner
        self.draws, self.trials, self.metric = inner.draws, inner.trials, inner.metric

    def check(self, plan: Plan) -> None:
        self.inner.check(plan)

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        return self.inner.recorded(plan, journal)

    def cells(self, plan: Plan, journal: Journal, placement: Placement) -> CellStream:
        return self.inner.cells(plan, journal, placement)

    def preview_cells(
        self, plan: Plan, journal: Journal, placement: Placement
    ) -> CellStream:
        return self.inner.preview_cells(plan, journal, placement)

    def goals(
        self, plan: Plan, journal: Journal, until: str | None
    ) -> Callable[[Cell], Goal]:
        return self.inner.goals(plan, journal, until)

    def dims(self, plan: Plan) -> tuple[str, ...]:
        return self.inner.dims(plan)

    def extras(
        self,
        plan: Plan,
        journal: Journal,
        cells: Sequence[Cell],
        outcomes: Mapping[str, CellOutcome],
    ) -> Extras:
        return self.inner.extras(plan, journal, cells, outcomes)

    def chart(self, fields: int) -> str:
        return self.inner.chart(fields)


def find_search(name: str, scheduler: str | None = None) -> Search:
    """Return the search of a name, wrapped by a scheduler if there is one.

    Raises:
        RequestError: for an unknown name.
    """
    searches, schedulers = _tables()
    check_name("search", name, list(searches))
    if scheduler is None:
        return searches[name]
    check_name("scheduler", scheduler, list(schedulers))
    return schedulers[scheduler](searches[name])


def search_of(plan: Plan) -> Search:
    """Return the search of a plan, with its scheduler."""
    return find_search(plan.search, plan.schedule and plan.schedule.name)


def check_name(kind: str, name: str, known: Sequence[str]) -> None:
    """Check that a name is known.

    Raises:
        RequestError: if it is not, with a suggestion.
    """
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
        raise RequestError(f"{kind} '{name}': there is none of that name{hint}")


@cache
def _tables() -> tuple[dict[str, Search], dict[str, Callable[[Search], Search]]]:
    """Collect the tables of all modules in this folder."""
    searches: dict[str, Any] = {}
    schedulers: dict[str, Any] = {}
    for info in iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        searches |= getattr(module, "SEARCHES", {})
        schedulers |= getattr(module, "SCHEDULERS", {})
    return searches, schedulers
