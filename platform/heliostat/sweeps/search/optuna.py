"""Ray Tune's searchers and schedulers, asked and told by the sweep itself.

Here alone Ray Tune is known.  It decides; cells are computed as all others are.  What
was asked and told is in the ledger of a sweep, in the order in which it happened, and a
searcher or scheduler is rebuilt by going through that again: nothing is unpickled.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from heliostat.errors import RequestError
from heliostat.sweeps.axes import Axis, Range
from heliostat.sweeps.plan import SEARCHERS, Metric

NEEDED = {
    "tpe": ("optuna",),
    "gp": ("optuna", "torch"),
    "cmaes": ("optuna", "cmaes"),
    "nsga2": ("optuna",),
}
"""Packages that the searches of Optuna want."""


def check_installed(search: str) -> None:
    """
    Raises:
        RequestError: if Optuna, or what its sampler needs, is not installed.
    """
    for package in NEEDED.get(search, ()):
        if find_spec(package) is None:
            how = f"python -m pip install {package}"
            how = how if package == "torch" else 'python -m pip install -e ".[search]"'
            raise RequestError(f"search {search} wants {package}: {how}")


class Searcher:
    """Proposes values from what earlier trials found: Tune's ``OptunaSearch``.

    Args:
        space: ranges and lists of values, by field.
        metrics: what is optimised; several at once by ``tpe`` or ``nsga2``.
        whole: fields of whole numbers.

    """

    def __init__(
        self,
        name: str,
        space: Mapping[str, Axis],
        metrics: Sequence[Metric],
        whole: Sequence[str],
        seed: int,
    ) -> None:
        self._space = space
        self._search = _optuna_search(name, space, metrics, whole, seed)

    def propose(self, trial: int) -> dict[str, Any]:
        """The values of a trial."""
        found = self._search.suggest(str(trial))
        proposed = [found[name] for name in self._space]
        return {
            name: axis.short(value) if isinstance(axis, Range) else axis[value]
            for (name, axis), value in zip(self._space.items(), proposed, strict=True)
        }

    def tell(self, trial: int, found: Mapping[str, float]) -> None:
        """What a trial found; what is not finite counts as a failure."""
        good = bool(found) and all(map(math.isfinite, found.values()))
        result = dict(found) if good else None
        self._search.on_trial_complete(str(trial), result=result, error=not good)


def _optuna_search(
    name: str,
    space: Mapping[str, Axis],
    metrics: Sequence[Metric],
    whole: Sequence[str],
    seed: int,
) -> Any:
    with _quietly():
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        # what it draws independently, such as listed values, is no news to anybody
        quiet = {"warn_independent_sampling": False} if name in ("gp", "cmaes") else {}
        sampler = getattr(optuna.samplers, SEARCHERS[name])(seed=seed, **quiet)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    single = len(metrics) == 1
    return OptunaSearch(
        {n: _distribution(axis, n in whole) for n, axis in space.items()},
        metric=metrics[0].name if single else [m.name for m in metrics],
        mode=metrics[0].mode if single else [m.mode for m in metrics],
        sampler=sampler,
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what Tune and Optuna say of widgets, and of what is experimental."""
    for name in ("ray.tune", "ray.widgets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _distribution(axis: Axis, whole: bool) -> Any:
    from optuna import distributions as optuna

    if not isinstance(axis, Range):  # by number: values may be of any type
        return optuna.CategoricalDistribution(range(len(axis)))
    if whole:
        low, high = int(axis.low), int(axis.high)
        return optuna.IntDistribution(low, high, log=axis.log)
    return optuna.FloatDistribution(axis.low, axis.high, log=axis.log)


class Halving:
    """Asynchronous successive halving: at each rung the worst stop.

    A trial that comes to a rung goes on if it is among the best ``1/factor`` of those
    that came there before it.

    Args:
        grace: steps before the first rung.
        length: steps of a trial that is never stopped.
        factor: between one rung and the next.

    Reference: Li et al., MLSys 2020, arXiv:1810.05934; by Ray Tune.
    """

    def __init__(self, metric: Metric, grace: int, length: int, factor: int) -> None:
        with _quietly():
            from ray.tune.schedulers import AsyncHyperBandScheduler

        self.metric, self._lock = metric, threading.Lock()
        self._decided: dict[tuple[str, int], bool] = {}
        self._asha = AsyncHyperBandScheduler(
            time_attr="step",
            metric="value",
            mode=metric.mode,
            max_t=length,
            grace_period=grace,
            reduction_factor=factor,
            stop_last_trials=False,
        )

    def stops(self, run: str, step: int, value: float) -> tuple[bool, bool]:
        """Whether a run ends at a rung, and whether that was decided just now."""
        with self._lock:
            if (run, step) in self._decided:
                return self._decided[run, step], False
            stops = not math.isfinite(value) or self._asked(run, step, value) == "STOP"
            self._decided[run, step] = stops
            return stops, True

    def recall(self, run: str, step: int, value: float, stops: bool) -> None:
        """A decision of an earlier sweep: it stands, others are compared with it."""
        self.stops(run, step, value)
        self._decided[run, step] = stops

    def _asked(self, run: str, step: int, value: float) -> str:
        trial: Any = SimpleNamespace(trial_id=run)
        if not any(run == known for known, _ in self._decided):
            self._asha.on_trial_add(None, trial)  # pyright: ignore
        result = {"step": step, "value": value}
        return self._asha.on_trial_result(None, trial, result)  # pyright: ignore
