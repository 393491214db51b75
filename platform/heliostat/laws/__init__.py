"""Laws that hold for every task, and :func:`check_task`, which tests them.

In reading order:

    harness           computes a task in one piece and in other ways
    loop              trajectories depend on task, seed, replica and step only
    roundtrip         fields, rows and states are read back unchanged
    hyperparameters   packable fields, and derivatives with respect to them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heliostat.answer import INCONCLUSIVE
from heliostat.config import registry
from heliostat.errors import RayUnavailable
from heliostat.laws import hyperparameters, loop, roundtrip
from heliostat.laws.harness import Harness
from heliostat.system import device
from heliostat.system.compilation import enable_compilation_cache
from heliostat.task import Task

Law = Callable[[Harness], str | None]

LAWS: dict[str, Law] = {
    "rows match emits": loop.rows_match_emits,
    "chunk size does not matter": loop.chunks_do_not_matter,
    "a resumed run equals an uninterrupted one": loop.resumed_run_is_identical,
    "a stride in the middle replays": loop.middle_stride_replays,
    "configurations round trip": roundtrip.config_round_trips,
    "the store round trips": roundtrip.store_round_trips,
}
TRACED: dict[str, Law] = {"step is traced once": loop.step_is_traced_once}
PACKABLE: dict[str, Law] = {
    "a packed cell equals the single run": hyperparameters.packed_cell_is_identical,
    "prepared data do not depend on packable fields": (
        hyperparameters.data_ignores_packable_fields
    ),
}
DIFFERENTIABLE: dict[str, Law] = {
    "derivatives match finite differences": (
        hyperparameters.derivatives_match_finite_differences
    )
}
FLEET: dict[str, Law] = {"workers do not matter": loop.workers_do_not_matter}


def check_task(task: Task, workers: Sequence[int] = (1, 2)) -> dict[str, str | None]:
    """Test a task against every law.

    Args:
        task: the task; choose small sizes, because it is computed some ten times.
        workers: sizes of the embedded fleets to compare; ``()`` only for a machine
            without Ray.

    Returns:
        Name of each law -> None if it holds, else the reason in one line, which begins
        with ``INCONCLUSIVE`` if the law could not be tried, as without Ray.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.sycophancy import Sycophancy
        >>> laws = hs.check_task(Sycophancy(limit=4), workers=())
        >>> laws["the store round trips"] is None
        True
        >>> {name: law for name, law in laws.items() if law}    # those that are broken
        {}
    """
    registry.check_is_task(task)
    enable_compilation_cache()
    device.single_thread_xla()
    bench = Harness(task, workers)
    laws = LAWS | (TRACED if task.traced else {}) | (FLEET if workers else {})
    laws |= PACKABLE if task.packable else {}
    differentiable = type(task).validation is not Task.validation
    laws |= DIFFERENTIABLE if task.packable and differentiable else {}
    return {name: _try(law, bench) for name, law in laws.items()}


def _try(law: Law, bench: Harness) -> str | None:
    try:
        return law(bench)
    except RayUnavailable as error:
        return f"{INCONCLUSIVE}: {error}"
    except Exception as error:  # a task may raise anything; the law reports it
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text[:300]}"
