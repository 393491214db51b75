"""The options that verbs share: what is asked for, and where it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from heliostat.system import device


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    return int(tokens[0].value)  # refuses 1.5, which would be rounded otherwise


def option(about: str, *names: str, **more: Any) -> Parameter:
    return Parameter(name=names or None, help=about, **more)


COUNT = Parameter(converter=_whole, validator=Number(gte=1))
RunId = Annotated[str, option("Id of a run, or its first digits.")]
TaskName = Annotated[str, option("A task, FILE.py:TASK or MODULE:TASK.")]
Store = Annotated[
    str | None, option("Folder of runs; default $HELIOSTAT_STORE, else ./runs.")
]
Output = Annotated[Path, option("The file to write.", "--output", "-o")]
Json = Annotated[bool, option("Print one JSON object and nothing else.")]
DryRun = Annotated[
    bool, option("Say what would be computed; compute and store nothing.")
]
TaskClass = Annotated[
    str | None, option("FILE.py:TASK of a run whose task is not installed.", "--task")
]


Until = Annotated[
    str | None, option('End where this holds, such as "ess > 400 and rhat < 1.01".')
]
CodeFiles = Annotated[
    tuple[str, ...],
    option(
        "FILE.py:NAME of code that is a field of the task.",
        "--code",
        show_default=False,
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class ConfigSource:
    """Where fields come from that are not typed."""

    preset: str | None = None
    """Fields that the task ships under this name; typed ones come before them."""
    config: Path | None = None
    """Fields from a YAML file; they come before the preset's."""


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions(ConfigSource):
    """What is asked for, beside the fields of the task."""

    steps: Annotated[int | None, COUNT] = None
    """Length of the run; default the task's natural one. More steps extend it."""
    until: Until = None
    seed: Annotated[int, Parameter(converter=_whole, validator=Number(gte=0))] = 0
    """Root of all randomness."""
    x64: bool = False
    """Compute in float64."""


@Parameter(name="*")
@dataclass(frozen=True)
class PlacementOptions:
    """Where it is computed and stored."""

    on: str = "local"
    """local (an own Ray), here (this process), auto (the cluster), or an address."""
    workers: Annotated[int | None, COUNT] = None
    """Worker processes; default the whole machine or cluster."""
    gpus: Annotated[float | None, Parameter(validator=Number(gte=0))] = None
    """GPUs for all workers together; default all there are."""
    store: Store = None
    json: Json = False

    @property
    def kwargs(self) -> dict[str, Any]:
        """As the verbs take them."""
        names = ("on", "workers", "gpus", "store")
        return {name: getattr(self, name) for name in names}

    def apply(self) -> None:
        """Pin this process, if it is the one that will compute."""
        if self.on == "here":
            gpus = device.count_gpus() if self.gpus is None else self.gpus
            device.configure_process(() if gpus else device.cores()[:1], gpus)


PLAIN, DEFAULTS, LOCAL = RunOptions(), ConfigSource(), PlacementOptions()
"""Nothing special asked for, computed on this machine."""
