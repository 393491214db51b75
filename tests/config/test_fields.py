"""Fields of a task: only annotated attributes of dataclasses are fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from support.toy_tasks import Walk

import heliostat as hs
from heliostat import config


class Plain(hs.Task):
    sigma: float = 2.0


class Inherited(Walk):
    pull: float = 2.0


class Renewed(Walk):
    sigma: float = 2.0


class Assigned(Walk):
    sigma = 2.0


@dataclass(frozen=True)
class Bare(Walk):
    sigma = 2.0


class Fine(Walk):
    """A class without fields of its own."""

    steps: int = 20
    scale: ClassVar[float] = 2.0


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (Plain, "Plain.sigma is not a field, because Plain is not a dataclass"),
        (Inherited, "Inherited.pull is not a field"),
        (Renewed, "Renewed.sigma is not a field"),
        (Assigned, "Assigned.sigma = 2.0 does not change the field's default"),
        (Bare, "Bare.sigma = 2.0 does not change the field's default"),
    ],
)
def test_attributes_that_look_like_fields_and_are_none_are_refused(task, line):
    for request in (hs.run, config.specify):
        with pytest.raises(hs.RequestError, match=line):
            request(task())
    with pytest.raises(hs.RequestError, match=line):
        config.build(task, {})
    assert hs.runs().empty


@pytest.mark.parametrize(
    ("attribute", "value", "line"),
    [
        ("stride", 1e2, "stride=100.0: expected an int"),
        ("width", "2", "width='2': expected an int"),
        ("emits", {"x": "position"}, "emits={'x': 'position'}: expected hs.Var"),
        ("observes", ["x"], r"observes=\['x'\]: expected hs.Var by name"),
        ("finds", "energy", "finds='energy': expected a tuple of names"),
        ("packable", "sigma", "packable='sigma': expected a tuple of names"),
    ],
)
def test_class_attributes_of_another_type_are_refused(attribute, value, line):
    task = type("Declared", (Walk,), {attribute: value})
    with pytest.raises(hs.RequestError, match=line):
        hs.run(task(), on="here")
    assert hs.runs().empty


def test_a_field_without_a_dataclass_is_refused_with_the_remedy():
    with pytest.raises(hs.RequestError, match=r"'sigma'; write @dataclass"):
        Plain(sigma=1.0)


def test_class_variables_and_attributes_of_the_contract_are_no_fields():
    assert set(config.fields_of(Fine)) == {"sigma", "chains"} and Fine().steps == 20
