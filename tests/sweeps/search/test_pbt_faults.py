"""Populations that failed or were killed end like undisturbed ones."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
from support.cooling_task import Cooling, breed, killed

import heliostat as hs


def lucky(rate, e):
    """Return True if a step succeeds; a test replaces this."""
    return True


@dataclass(frozen=True)
class Unlucky(Cooling):
    """A task whose steps fail unless they are lucky."""

    def step(self, key, state, data):
        if not lucky(self.rate, state):
            raise ValueError("no luck")
        return super().step(key, state, data)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    return breed(tmp_path_factory.mktemp("calm"))


def alike(a, b):
    """Return True if two populations have the same runs and numbers."""
    ids = [[cell.spec.id for cell in each.cells] for each in (a, b)]
    same = a.summary.identical(b.summary)
    return same and ids[0] == ids[1] and a.dataset.identical(b.dataset)


FAULTS = {
    "the first segments": lambda rate, e: rate < 0.05,
    "a later segment": lambda rate, e: e > 0.05,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["the first segments", "a later segment"])
def test_a_failed_segment_is_repaired_with_all_that_follows(
    tmp_path, monkeypatch, fault
):
    """The stored sweep has the repaired segments too."""
    monkeypatch.setattr(sys.modules[__name__], "lucky", FAULTS[fault])
    about = {"task": Unlucky(), "steps": 15}
    first = breed(tmp_path / "a", **about)
    assert 0 < first.states["failed"] < 12
    monkeypatch.undo()
    mended = breed(tmp_path / "a", **about)
    assert mended.states == {"done": 12} and mended.reused < 12
    opened = hs.open_sweep(mended.id, store=tmp_path / "a", task=Unlucky)
    assert alike(opened, mended)
    assert alike(mended, breed(tmp_path / "b", **about))


def test_a_population_that_failed_as_a_whole_is_repaired_later(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "lucky", lambda rate, e: False)
    lost = breed(tmp_path / "a", task=Unlucky(), steps=10)
    assert lost.states == {"failed": 4} and not lost.ranked()
    assert lost.ending == "no member of generation 0 has a finite 'e'"
    monkeypatch.undo()
    mended = breed(tmp_path / "a", task=Unlucky(), steps=10)
    assert mended.ending == ""
    assert alike(mended, breed(tmp_path / "b", task=Unlucky(), steps=10))


@pytest.mark.slow
def test_a_population_does_not_depend_on_workers(tmp_path, fleet_ray, calm):
    assert alike(breed(tmp_path, on="local", workers=2, gpus=0), calm)


@pytest.mark.slow
def test_a_killed_population_continues(tmp_path, calm):
    ended = killed(tmp_path, 8)
    result = breed(tmp_path)
    assert 8 <= ended <= result.reused and result.computed + result.reused == 20
    assert alike(result, calm)
