"""Presets in Python have the fields and the length of presets in a terminal."""

from __future__ import annotations

import pytest

import heliostat as hs
from heliostat import cli
from heliostat.config import registry, specify
from heliostat.fields import presets


@pytest.mark.parametrize("name", ["bilevel", "discrete", "preferences", "vmc"])
def test_a_preset_is_the_run_of_the_command_line(name, capsys):
    cls = registry.find_task(name)
    assert cli.main(["run", name, "--preset", "quick", "--dry-run", "--json"]) == 0
    answer, task = capsys.readouterr().out, cls.preset("quick")
    assert f'"id": "{specify(task).id}"' in answer
    assert f'"steps": {task.preset_steps or task.steps},' in answer


def test_given_fields_replace_those_of_the_preset():
    cls = registry.find_task("vmc")
    task = cls.preset("quick", molecule="He", train=70)
    expected = presets.load(cls, "quick").fields | {"molecule": "He", "train": 70}
    assert task == cls(**expected)


@pytest.mark.slow
def test_a_run_has_the_length_of_the_preset(tmp_path):
    task = registry.find_task("discrete").preset("quick", size=3, warmup=5)
    options = {"on": "here", "store": tmp_path, "progress": False}
    assert hs.run(task, **options).steps == task.preset_steps == 1000
    assert hs.run(task, steps=20, **options).steps == 20
    sweep = hs.sweep(task, over={"seed": [0, 1]}, **options)
    assert sweep.dataset.sizes["draw"] == 1000


@pytest.mark.parametrize(
    ("name", "fields", "line"),
    [
        ("quik", {}, "VMC has no preset 'quik'; did you mean 'quick'?"),
        ("quick", {"molecul": "He"}, "VMC has no field 'molecul'"),
    ],
)
def test_mistakes_are_refused(name, fields, line):
    with pytest.raises(hs.RequestError) as error:
        registry.find_task("vmc").preset(name, **fields)
    assert line in str(error.value)
