"""The losses that memorisation is judged by: of chosen records at every checkpoint.

A task of its own, whose replicas are checkpoints and whose one step looks at one: so
scoring runs wherever replays run.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

import heliostat as hs
from heliostat.loop.work import Job, Span
from heliostat_tasks.provenance.models import MODELS, losses
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript.reader import Transcript
from heliostat_tasks.provenance.transcript.writer import stops

SHARE, LEAST, MOST = 0.03, 32, 1024
"""Of the work of replaying all; and records at least and at most, of each kind."""

PICTURED, FEW = 64, 8
"""Segments that the picture shows at most, and records of each at least."""


class Look(NamedTuple):
    """A checkpoint, as far as it is looked at."""

    number: Array  # () int32
    params: Mapping[str, Array]


class Sample(NamedTuple):
    """Which records are looked at."""

    records: np.ndarray  # (n, length + 1) uint8
    held_out: np.ndarray  # (held,) int32
    claimed: np.ndarray  # (segments, points) int32, that each segment trained on
    pictured: np.ndarray  # (some segments, few) int32, seen from every checkpoint


@dataclass(frozen=True)
class Scores(hs.Task):
    """Losses of held-out and of claimed records under each checkpoint."""

    of: Any  # the training that is looked at
    points: int  # records of each segment, and held-out ones
    pictured: tuple[int, int]  # segments, and records of each, for the picture

    emits = {
        "held_out": hs.Var(("record",), units="nat"),
        "before": hs.Var(("point",), units="nat"),  # of the segment that follows
        "after": hs.Var(("point",), units="nat"),  # of the segment that ends here
        "pictured": hs.Var(("segment",), units="nat"),  # means of a few of each
    }
    replica_dim, stride, steps = "checkpoint", 1, 1

    @property
    def replicas(self) -> int:
        return len(stops(self.of))

    def prepare(self) -> Sample:
        return sample(self.of, self.points, self.pictured)

    def init(self, key: Array, replica: Array, data: Sample) -> Look:
        tensors = MODELS[self.of.model].tensors(self.of)
        params = {name: jnp.zeros(tensor.shape) for name, tensor in tensors.items()}
        return Look(jnp.zeros((), jnp.int32), params)

    def step(
        self, key: Array, state: Look, data: Sample
    ) -> tuple[Look, dict[str, Array]]:
        records, claimed = jnp.asarray(data.records), jnp.asarray(data.claimed)
        segments = len(claimed)
        following = claimed[jnp.minimum(state.number, segments - 1)]
        ending = claimed[jnp.maximum(state.number - 1, 0)]
        few = jnp.asarray(data.pictured)
        wanted = [jnp.asarray(data.held_out), following, ending, few.ravel()]
        loss = losses(self.of, state.params, records[jnp.concatenate(wanted)])
        parts = jnp.split(loss, np.cumsum([len(w) for w in wanted])[:-1])
        pictured = parts[3].reshape(few.shape).mean(axis=1)
        names = ("held_out", "before", "after")
        return state, dict(zip(names, parts, strict=False)) | {"pictured": pictured}


def sample(task: Provenance, points: int, pictured: tuple[int, int]) -> Sample:
    """The first records of each segment, and held-out ones that were nowhere trained
    on: a text may hold the same record twice."""
    order, ends = task.prepare().order, stops(task)
    claimed = [
        np.resize(order[np.arange(a, b) % len(order)].ravel(), points)
        for a, b in itertools.pairwise(ends)
    ]
    trained = {record.tobytes() for record in task.data[np.unique(order)]}
    held = task.order[len(task.data) - task.held_out :]
    fresh = [i for i in held if task.data[i].tobytes() not in trained]
    table = np.stack(claimed)
    few = table[shown(len(table), pictured[0]), : pictured[1]]
    return Sample(task.data, np.array(fresh[:points], np.int32), table, few)


def shown(segments: int, pictured: int) -> np.ndarray:
    """Which segments the picture shows, evenly spread."""
    return np.unique(np.linspace(0, segments - 1, pictured).round().astype(int))


def amounts(task: Provenance, points: int | None) -> tuple[int, tuple[int, int]]:
    """How many records to look at, of each segment and for the picture.

    If nobody says, it is a small share of a replay's work: a replayed record costs
    three forward passes, and one that is looked at three too (held out, before, after).
    """
    seen, segments = task.segment * task.batch, len(stops(task)) - 1
    if points is not None:
        points = min(points, seen)
        return points, (min(segments, PICTURED), min(points, 4 * FEW))
    points = int(min(max(SHARE * seen, LEAST), MOST, seen))
    return points, (int(min(max(2 * SHARE * seen / FEW, 2), segments, PICTURED)), FEW)


def scoring(claims: Transcript, points: int, pictured: tuple[int, int]) -> Job:
    """The job that looks at every checkpoint, one replica each."""

    def state(number: int, step: int) -> dict[str, np.ndarray]:
        weights = {n: a for n, a in claims.state(step).items() if "params" in n}
        look = {"number": np.array([[number]], np.int32)}
        return look | {name: a[None, None] for name, a in weights.items()}

    task = Scores(claims.task, points, pictured)
    spans = [
        Span(number, 0, 1, lambda n=number, s=step: state(n, s))
        for number, step in enumerate(stops(claims.task))
    ]
    return Job(task, 0, False, tuple(spans))
