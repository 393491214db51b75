"""Searches ``tpe``, ``gp``, ``cmaes`` and ``nsga2``: Optuna's samplers by Ray Tune."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from heliostat.driver.placement import Placement
from heliostat.errors import RequestError
from heliostat.sweeps.axes import SEED, Axis, Range, is_whole
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.sweeps.plan import Metric, Plan
from heliostat.sweeps.search import CellStream, FixedCells, Search
from heliostat.sweeps.search.ask_tell import ProposedTrials, most_runs, recorded_cells
from heliostat.sweeps.search.quiet import quiet_tune


class OptunaSearch(Search):
    """Trials that one of Optuna's samplers proposes from the results of earlier ones.

    Args:
        name: name of the search.
        sampler: its class in ``optuna.samplers``.
        packages: to be installed.
        several: it takes several metrics at once.
    """

    depends_on = ("metrics", "schedule", "steps")

    def __init__(
        self, name: str, sampler: str, packages: Sequence[str], several: bool
    ) -> None:
        self.name, self.sampler = name, sampler
        self.packages, self.several = packages, several

    def check(self, plan: Plan) -> None:
        if not plan.metrics:
            finds = plan.task.finds
            example = f"such as {finds[0]}" if finds else "a number of the headline"
            raise RequestError(f"search {self.name} needs a metric, {example}")
        if len(plan.metrics) > 1 and not self.several:
            message = "expected one metric; tpe takes several"
            raise RequestError(f"search {self.name}: {message}")
        self._check_installed()

    def _check_installed(self) -> None:
        for package in self.packages:
            if find_spec(package) is None:
                command = 'python -m pip install -e ".[search]"'
                if package == "torch":
                    command = "python -m pip install torch"
                raise RequestError(f"search {self.name} needs {package}: {command}")

    def recorded(self, plan: Plan, journal: Journal) -> list[Cell]:
        return recorded_cells(plan, journal)

    def cells(self, plan: Plan, journal: Journal, placement: Placement) -> CellStream:
        names = [metric.name for metric in plan.metrics]

        def measure(cell: Cell, outcome: CellOutcome) -> dict[str, float]:
            estimates = outcome.estimates
            return {n: float(estimates[n].value) for n in names if n in estimates}

        optimiser = TuneOptimiser(self.sampler, plan)
        return ProposedTrials(plan, journal, optimiser, names, measure)

    def preview_cells(
        self, plan: Plan, journal: Journal, placement: Placement
    ) -> CellStream:
        cells = [c for c in self.recorded(plan, journal) if c.place[0] < plan.trials]
        return FixedCells(cells, most_runs(plan))


class TuneOptimiser:
    """Ray Tune's ``OptunaSearch`` as an optimiser that can ask and tell."""

    exhausted = ""

    def __init__(self, sampler: str, plan: Plan) -> None:
        self._space = {n: axis for n, axis in plan.axes.items() if n != SEED}
        distributions = {
            name: _distribution(axis, _whole(plan, name, axis))
            for name, axis in self._space.items()
        }
        self._tune = _tune_search(
            sampler, distributions, plan.metrics, plan.search_seed
        )

    def ask(self, trial: int) -> dict[str, Any]:
        suggestion = self._tune.suggest(str(trial))
        return {
            name: axis.short(suggestion[name])
            if isinstance(axis, Range)
            else axis[suggestion[name]]
            for name, axis in self._space.items()
        }

    def tell(self, trial: int, values: Mapping[str, float]) -> None:
        """Pass the numbers of a trial on; a number that is not finite is a failure."""
        good = bool(values) and all(map(math.isfinite, values.values()))
        result = dict(values) if good else None
        self._tune.on_trial_complete(str(trial), result=result, error=not good)


def _tune_search(
    sampler: str,
    distributions: Mapping[str, Any],
    metrics: Sequence[Metric],
    seed: int,
) -> Any:
    with quiet_tune():
        import optuna
        from ray.tune.search.optuna import OptunaSearch as Tune

        # GP and CMA-ES draw listed values independently, which is no news to anybody
        independent = sampler in ("GPSampler", "CmaEsSampler")
        quiet = {"warn_independent_sampling": False} if independent else {}
        made = getattr(optuna.samplers, sampler)(seed=seed, **quiet)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    single = len(metrics) == 1
    return Tune(
        dict(distributions),
        metric=metrics[0].name if single else [m.name for m in metrics],
        mode=metrics[0].mode if single else [m.mode for m in metrics],
        sampler=made,
    )


def _whole(plan: Plan, name: str, axis: Axis) -> bool:
    return isinstance(axis, Range) and is_whole(type(plan.task), name)


def _distribution(axis: Axis, whole: bool) -> Any:
    from optuna import distributions as optuna

    if not isinstance(axis, Range):  # by number: values may be of any type
        return optuna.CategoricalDistribution(range(len(axis)))
    if whole:
        low, high = int(axis.low), int(axis.high)
        return optuna.IntDistribution(low, high, log=axis.log)
    return optuna.FloatDistribution(axis.low, axis.high, log=axis.log)


SEARCHES = {
    "tpe": OptunaSearch("tpe", "TPESampler", ["optuna"], several=True),
    "gp": OptunaSearch("gp", "GPSampler", ["optuna", "torch"], several=False),
    "cmaes": OptunaSearch("cmaes", "CmaEsSampler", ["optuna", "cmaes"], several=False),
    "nsga2": OptunaSearch("nsga2", "NSGAIISampler", ["optuna"], several=True),
}
