"""Shared options of verbs: the run, its placement, the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token
from cyclopts.validators import Number

import heliostat as hs
from heliostat.config import registry
from heliostat.errors import RequestError
from heliostat.system import device
from heliostat.task import Task


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


@Parameter(name="*")
@dataclass(frozen=True)
class ParentOptions:
    """Run whose state another one starts from."""

    parent: str | None = None
    """Id of a run whose last state is the start of this one; its fields may differ."""
    parent_step: Annotated[int, Parameter(converter=_to_int)] = -1
    """A kept step of the parent, whose state is the start instead; -1 is the last."""

    def kwargs(self, cls: type[Task], store: str | None) -> dict[str, Any]:
        """Return keyword arguments of ``hs.run``: none without a parent.

        Args:
            cls: the class of the parent's task.
            store: the folder of runs.

        Raises:
            RequestError: if there is no such run, or a step of no run.
        """
        if self.parent is None:
            if self.parent_step != -1:
                message = f"parent-step {self.parent_step}: of which --parent?"
                raise RequestError(message)
            return {}
        own = None if registry.is_registered(cls) else cls
        run = hs.open(self.parent, store=store, task=own)
        return {"parent": run, "parent_step": self.parent_step}


DEFAULT_RUN, DEFAULT_SOURCE, DEFAULT_PLACEMENT, NO_PARENT = (
    RunOptions(),
    ConfigSource(),
    PlacementOptions(),
    ParentOptions(),
)
"""Options that the command line does not give."""
