"""Fields as options: all formats give the same task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support import user_densities
from support.toy_tasks import WALK

import heliostat as hs
from heliostat import cli, config
from heliostat.config import registry
from heliostat.fields import presets


@dataclass(frozen=True)
class Kinds(hs.Task):
    """Task with a field of every kind."""

    name: str = "LiH"  # text
    burn_in: int = 3  # a whole number
    rate: float = 0.1  # a number
    smooth: bool = False  # yes or no
    spin: int | None = None  # perhaps a whole number
    unit: str | None = "bohr"  # perhaps text
    sharp: bool | None = True  # perhaps yes or no
    kind: Literal["open_chain", "Closed"] = "open_chain"  # one of two
    level: Literal[1, 2] = 1  # one of two numbers
    layers: tuple[int, ...] = (16, 16)  # several whole numbers
    names: tuple[str, ...] = ()  # several texts
    pair: tuple[str, float] = ("a", 1.0)  # one of each
    geometry: hs.File | None = None  # a path
    code: hs.Code | None = None  # a function in a file


class Dumper(yaml.SafeDumper):
    """YAML writer that quotes text that the platform would read as a number."""

    yaml_implicit_resolvers = presets.Loader.yaml_implicit_resolvers


numbers = st.floats(allow_nan=False, allow_infinity=False)
kinds = st.builds(
    Kinds,
    name=st.text(),
    burn_in=st.integers(),
    rate=numbers,
    smooth=st.booleans(),
    spin=st.none() | st.integers(),
    unit=st.none() | st.text(),
    sharp=st.none() | st.booleans(),
    kind=st.sampled_from(["open_chain", "Closed"]),
    level=st.sampled_from([1, 2]),
    layers=st.lists(st.integers()).map(tuple),
    names=st.lists(st.text()).map(tuple),
    pair=st.tuples(st.text(), numbers),
    geometry=st.none() | st.text().map(hs.File),
    code=st.none()
    | st.sampled_from([f"{user_densities.__file__}:few", f"sha256:{'0f' * 32}:f"]).map(
        hs.Code
    ),
)


@settings(deadline=None, max_examples=30)
@given(kinds)
def test_command_line_yaml_and_json_spell_the_same_task(task):
    fields = config.passed_fields(task)
    values = [
        cli.parse_fields(Kinds, cli.to_argv(task)),
        yaml.load(yaml.dump(fields, Dumper=Dumper), Loader=presets.Loader),
        json.loads(json.dumps(fields)),
    ]
    assert [config.build(Kinds, value) for value in values] == [task] * 3


def test_only_given_options_are_fields():
    assert cli.parse_fields(Kinds, []) == {} and cli.to_argv(Kinds()) == []
    words = (
        "--burn_in 5 --layers 1 -2 --smooth --no-spin --no-unit --none-sharp --names"
    )
    assert cli.parse_fields(Kinds, words.split()) == {
        "burn_in": 5,
        "layers": [1, -2],
        "smooth": True,
        "spin": None,
        "unit": None,
        "sharp": None,
        "names": (),
    }


def test_help_shows_every_field(run_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    shown = run_cli("run", WALK, "--help").out
    assert "--sigma FLOAT" in shown and "size of a step [default: 1.0]" in shown
    assert "--store" in shown and "--dry-run" in shown
    shown = run_cli("run", "vmc", "--help").out
    for name in config.fields_of(registry.find_task("vmc")):
        assert f"--{name.replace('_', '-')} " in shown
