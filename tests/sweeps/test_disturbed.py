"""A population that was disturbed becomes what an undisturbed one is."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
from support.cooling_task import Cooling, breed, killed

import heliostat as hs


def lucky(rate, e):
    """Whether a step succeeds: always, but where a test says otherwise."""
    return True


@dataclass(frozen=True)
class Unlucky(Cooling):
    """It fails for now, where it is not lucky."""

    def step(self, key, state, data):
        if not lucky(self.rate, state):
            raise ValueError("no luck")
        return super().step(key, state, data)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    return breed(tmp_path_factory.mktemp("calm"))


def alike(here, there):
    """Whether two populations are the same, with all their numbers and parents."""
    ids = [[cell.spec.id for cell in each.cells] for each in (here, there)]
    same = here.summary.identical(there.summary)
    return same and ids[0] == ids[1] and here.dataset.identical(there.dataset)


FAULTS = {
    "the first segments": lambda rate, e: rate < 0.05,
    "a later segment": lambda rate, e: e > 0.05,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_failed_at_first_is_bred_as_if_it_had_not(tmp_path, monkeypatch, fault):
    """Also what had followed from it; and the store says so."""
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


def test_where_all_failed_it_ends_and_is_done_later(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "lucky", lambda rate, e: False)
    lost = breed(tmp_path / "a", task=Unlucky(), steps=10)
    assert lost.states == {"failed": 4} and not lost.ranked()
    monkeypatch.undo()
    mended = breed(tmp_path / "a", task=Unlucky(), steps=10)
    assert alike(mended, breed(tmp_path / "b", task=Unlucky(), steps=10))


@pytest.mark.slow
def test_workers_do_not_matter(tmp_path, fleet_ray, calm):
    assert alike(breed(tmp_path, on="local", workers=2, gpus=0), calm)


def test_a_killed_population_goes_on_where_it_was(tmp_path, calm):
    done = killed(tmp_path, 8)
    found = breed(tmp_path)
    assert 8 <= done <= found.reused and found.computed + found.reused == 20
    assert alike(found, calm)
