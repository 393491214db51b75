"""Presets: named values of fields, in ``presets/NAME.yaml`` beside a task's module.

A preset, like the file of ``--config``, is a mapping of fields, and may hold ``steps``.
The files are YAML 1.2: ``NO`` is a molecule and ``1e-3`` is a number.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from heliostat.errors import RequestError, did_you_mean


class Preset(NamedTuple):
    """Some fields of a task, and perhaps a length."""

    fields: dict[str, Any]
    steps: int | None = None


def names(task: type) -> list[str]:
    """List the presets of a task."""
    try:
        folder = Path(inspect.getfile(task)).parent / "presets"
    except (OSError, TypeError):
        return []  # a class typed at a prompt has no folder
    return sorted(file.stem for file in folder.glob("*.yaml"))


def load(task: type, name: str) -> Preset:
    """Read the preset ``name`` of a task.

    Raises:
        RequestError: if the preset does not exist (with a suggestion) or is unreadable.
    """
    name, known = str(name), names(task)
    if name not in known:
        listed = f"; it has {', '.join(known)}" if known else "; it has none"
        hint = did_you_mean(name, known) or listed
        raise RequestError(f"{task.__name__} has no preset '{name}'{hint}")
    return read(Path(inspect.getfile(task)).parent / "presets" / f"{name}.yaml")


def read(file: str | Path) -> Preset:
    """Read fields, and perhaps ``steps``, from a YAML file.

    Raises:
        RequestError: if the file cannot be read, or is not a mapping of fields.
    """
    try:
        content = yaml.load(Path(file).read_text(), Loader=Loader)
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"{file} cannot be read: {reason}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"{file} is not valid YAML: {error}") from error
    fields = {} if content is None else content
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        raise RequestError(f"{file}: expected a mapping of fields to values")
    steps = fields.pop("steps", None)
    if steps is not None and (type(steps) is not int or steps < 1):
        raise RequestError(f"{file}: steps {steps!r}: expected a whole number >= 1")
    return Preset(fields, steps)


class Loader(yaml.SafeLoader):
    """YAML loader with the truth values and numbers of YAML 1.2."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in content if not tag.endswith(":bool")]
        for first, content in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool",
    re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    [*"tTfF"],
)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    [*"-+.0123456789"],
)
