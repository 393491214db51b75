"""Runs that differ in traced fields and seeds share a program, each as if alone."""

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
    """Return the chunks of one run."""
    return list(run(Job(task, seed, x64, (Span(block, 0, LONG),)), seconds=0))


def members_of(cells):
    return tuple(
        Member(seed, config.traced_fields(task), i)
        for i, (task, seed) in enumerate(cells)
    )


def packed(cells, block=0, x64=False):
    """Return the chunks of a batch, by the program of the first member's task."""
    span = Span(block, 0, LONG, members=members_of(cells))
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
def test_a_member_has_the_bits_of_the_run_alone(count, x64):
    """The block is the last one, which is padded; one member omits a field."""
    batch = packed(CELLS[:count], 2, x64)
    for i in {1 % count, count - 1}:
        chunks = alone(*CELLS[i], 2, x64)
        assert len(chunks) == len(batch)
        for lone, member in zip(chunks, [c.member(i) for c in batch], strict=True):
            assert lone.strides == member.strides
            for name, rows in lone.rows.items():
                np.testing.assert_array_equal(rows, member.rows[name], strict=True)
            for name, state in lone.state.items():
                np.testing.assert_array_equal(state, member.state[name], strict=True)


def test_a_batch_resumes_from_its_states():
    whole, members = packed(CELLS[:4])[-1], members_of(CELLS[:4])
    half = packed(CELLS[:4])[0]
    rest = Span(0, half.stop, LONG, half.state, members)
    again = list(run(Job(CELLS[0][0], 0, False, (rest,)), seconds=0))[-1]
    assert again.stop == LONG and again.strides[-1] == whole.strides[-1]


@dataclass(frozen=True)
class Keeping(toy_tasks.Tuned):
    @cached_property
    def kept_share(self):
        return 1 - self.pull


def test_traced_fields_are_seen_and_cached_properties_are_not():
    task = Keeping(2.0, pull=0.5)
    assert task.kept_share == 0.5  # kept from now on
    copy = with_traced_fields(task, {"sigma": 3.0, "pull": 0.25})
    assert (copy.sigma, copy.kept_share, copy.chains) == (3.0, 0.75, task.chains)
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
        (
            Misnamed(),
            r"packable names 'sigmas', which is not a field; did you mean 'sigma'\?",
        ),
        (Worded(), "packable names 'word', which is not a number"),
        (
            Untraced(),
            "not sharded; the task is not traced",
        ),
        (
            Split(),
            "not sharded; the task is sharded",
        ),
        (toy_tasks.Tuned(far=2**31), "far=2147483648: expected 32 bits"),
    ],
)
def test_fields_that_cannot_be_packable_are_refused(task, reason):
    with pytest.raises(hs.RequestError, match=reason):
        config.specify(task)
