"""Shared options of verbs: the run, its placement, the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

from heliostat.system import device


def _to_int(_: Any, tokens: Sequence[Token]) -> int:
    return int(tokens[0].value)  # refuses 1.5, which Cyclopts would round


def option(about: str, *names: str, **more: Any) -> Parameter:
    return Parameter(name=names or None, help=about, **more)


COUNT = Parameter(converter=_to_int, validator=Number(gte=1))
RunId = Annotated[str, option("Id of a run, or its first digits.")]
TaskName = Annotated[str, option("A task, FILE.py:TASK or MODULE:TASK.")]
Store = Annotated[
    str | None, option("Folder of runs; default $HELIOSTAT_STORE, else ./runs.")
]
Output = Annotated[Path, option("The file to write.", "--output", "-o")]
Json = Annotated[bool, option("Print one JSON object and nothing else.")]
DryRun = Annotated[
    bool, option("Print what would be computed; compute and store nothing.")
]
TaskClass = Annotated[
    str | None,
    option("FILE.py:TASK, if the task of the run is not installed.", "--task"),
]


Until = Annotated[
    str | None, option('Stop when this holds, such as "ess > 400 and rhat < 1.01".')
]
CodeFiles = Annotated[
    tuple[str, ...],
    option(
        "FILE.py:NAME of each field of the run that holds code.",
        "--code",
        show_default=False,
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class ConfigSource:
    """Sources of fields that the command line does not give."""

    preset: str | None = None
    """Named values of fields that come with the task; given fields replace them."""
    config: Path | None = None
    """YAML file with fields; they replace those of the preset."""


@Parameter(name="*")
@dataclass(frozen=True)
class RunOptions(ConfigSource):
    """Options of a run, beside the fields of its task."""

    steps: Annotated[int | None, COUNT] = None
    """Length of the run; default that of the task. More steps extend a stored run."""
    until: Until = None
    seed: Annotated[int, Parameter(converter=_to_int, validator=Number(gte=0))] = 0
    """Seed of all random numbers."""
    x64: bool = False
    """Compute in float64."""


@Parameter(name="*")
@dataclass(frozen=True)
class PlacementOptions:
    """Placement of a run, and its store."""

    on: str = "local"
    """local (embedded Ray), here (this process), auto (the cluster), or an address."""
    workers: Annotated[int | None, COUNT] = None
    """Number of worker processes; default the whole machine or cluster."""
    gpus: Annotated[float | None, Parameter(validator=Number(gte=0))] = None
    """GPUs for all workers together; default all."""
    store: Store = None
    json: Json = False

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments of ``hs.run`` and its like."""
        names = ("on", "workers", "gpus", "store")
        return {name: getattr(self, name) for name in names}

    def apply(self) -> None:
        """Configure this process, if it will compute the run."""
        if self.on == "here":
            gpus = device.count_gpus() if self.gpus is None else self.gpus
            device.configure_process(() if gpus else device.cores()[:1], gpus)


DEFAULT_RUN, DEFAULT_SOURCE, DEFAULT_PLACEMENT = (
    RunOptions(),
    ConfigSource(),
    PlacementOptions(),
)
"""Options that the command line does not give."""
