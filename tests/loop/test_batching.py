"""Cells that differ in knobs and seeds are stepped by one program, each as if alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat import config
from heliostat.loop.batching import with_traced_fields
from heliostat.loop.run import run
from heliostat.loop.work import MAX_MEMBERS, Job, Member, Span

LONG = 25  # two strides and a half


def alone(task, seed, block=0, x64=False):
    """The chunks of one run, joined by hand."""
    return list(run(Job(task, seed, x64, (Span(block, 0, LONG),)), seconds=0))


def lanes_of(cells):
    return tuple(
        Member(seed, config.traced_fields(task), i)
        for i, (task, seed) in enumerate(cells)
    )


def packed(cells, block=0, x64=False):
    """The slabs of many, by the program of the first one's task."""
    span = Span(block, 0, LONG, members=lanes_of(cells))
    return list(run(Job(cells[0][0], 7, x64, (span,)), seconds=0))


CELLS = [
    (
        toy_tasks.Tuned(0.5 + 0.25 * i, pull=None if i == 1 else 0.01 * i, far=i % 5),
        i % 3,
    )
    for i in range(MAX_MEMBERS)
]


@pytest.mark.parametrize(
    ("count", "x64"), [(1, False), (MAX_MEMBERS, False), (3, True)]
)
def test_a_cell_in_a_slab_has_the_bits_of_the_cell_alone(count, x64):
    """Also in the last block, which is padded; and with another number left out."""
    slabs = packed(CELLS[:count], 2, x64)
    for lane in {1 % count, count - 1}:
        chunks = alone(*CELLS[lane], 2, x64)
        assert len(chunks) == len(slabs)
        for here, there in zip(chunks, [s.member(lane) for s in slabs], strict=True):
            assert here.strides == there.strides
            for name, rows in here.rows.items():
                np.testing.assert_array_equal(rows, there.rows[name], strict=True)
            for name, state in here.state.items():
                np.testing.assert_array_equal(state, there.state[name], strict=True)


def test_a_slab_goes_on_from_the_states_that_it_had():
    whole, lanes = packed(CELLS[:4])[-1], lanes_of(CELLS[:4])
    half = packed(CELLS[:4])[0]
    rest = Span(0, half.stop, LONG, half.state, lanes)
    again = list(run(Job(CELLS[0][0], 0, False, (rest,)), seconds=0))[-1]
    assert again.stop == LONG and again.strides[-1] == whole.strides[-1]


@dataclass(frozen=True)
class Keeping(toy_tasks.Tuned):
    @cached_property
    def kept_share(self):
        return 1 - self.pull


def test_knobs_are_seen_and_what_was_kept_of_others_is_not():
    task = Keeping(2.0, pull=0.5)
    assert task.kept_share == 0.5  # kept from now on
    lane = with_traced_fields(task, {"sigma": 3.0, "pull": 0.25})
    assert (lane.sigma, lane.kept_share, lane.chains) == (3.0, 0.75, task.chains)
    assert task.kept_share == 0.5 and with_traced_fields(task, {}) is task


@dataclass(frozen=True)
class Misnamed(toy_tasks.Tuned):
    packable = ("sigmas",)


@dataclass(frozen=True)
class Worded(toy_tasks.Tuned):
    word: str = "a"
    packable = ("word",)


@dataclass(frozen=True)
class Untraced(toy_tasks.Talk):
    packable = ("items",)


@dataclass(frozen=True)
class Split(toy_tasks.Drift):
    packable = ("points",)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (Misnamed(), r"packable names 'sigmas', no field; did you mean 'sigma'\?"),
        (Worded(), "packable names 'word', which is no number"),
        (Untraced(), "packable fields, but the task is not traced"),
        (Split(), "packable fields, but the task is sharded"),
        (toy_tasks.Tuned(far=2**31), "far=2147483648: expected 32 bits"),
    ],
)
def test_what_cannot_be_a_knob_is_refused(task, reason):
    with pytest.raises(hs.RequestError, match=reason):
        config.specify(task)
