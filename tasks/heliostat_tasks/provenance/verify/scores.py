"""Losses of selected records at every checkpoint, for the tests of memorisation.

They are computed by a task of its own, whose replicas are checkpoints and whose only
step evaluates one, so that they run wherever replays run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

import heliostat as hs
from heliostat_tasks.provenance.models import losses, tensor_specs
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript.file_format import (
    checkpoint_steps,
    segments,
    to_block,
)
from heliostat_tasks.provenance.transcript.reader import Transcript

WORK_SHARE, MIN_POINTS, MAX_POINTS = 0.03, 32, 1024
"""Share of the work of replaying all; limits of the number of records, of each kind."""

PLOTTED_SEGMENTS, PLOTTED_RECORDS = 64, 8
"""Largest number of segments in the plot; smallest number of records of each."""


class MemorisationView(NamedTuple):
    """Number and weights of a checkpoint."""

    number: Array  # () int32
    params: Mapping[str, Array]


class ScoredRecords(NamedTuple):
    """Records whose losses are computed."""

    records: np.ndarray  # (n, length + 1) uint8
    held_out: np.ndarray  # (held,) int32
    claimed: np.ndarray  # (segments, points) int32, of those a segment trained on
    plotted: np.ndarray  # (some segments, few) int32, evaluated at every checkpoint


@dataclass(frozen=True)
class Scores(hs.Task):
    """Losses of held-out and of claimed records at each checkpoint."""

    of: Any  # the training
    points: int  # records of each segment, and held-out ones
    plotted: tuple[int, int]  # segments of the plot, and records of each

    emits = {
        "held_out": hs.Var(("record",), units="nat"),
        "before": hs.Var(("point",), units="nat"),  # of the segment that follows
        "after": hs.Var(("point",), units="nat"),  # of the segment that ends here
        "plotted": hs.Var(("segment",), units="nat"),  # means of a few of each
    }
    replica_dim, stride, steps = "checkpoint", 1, 1

    @property
    def replicas(self) -> int:
        return len(checkpoint_steps(self.of))

    def prepare(self) -> ScoredRecords:
        return select_records(self.of, self.points, self.plotted)

    def init(self, key: Array, replica: Array, data: ScoredRecords) -> MemorisationView:
        specs = tensor_specs(self.of.architecture)
        params = {name: jnp.zeros(spec.shape) for name, spec in specs.items()}
        return MemorisationView(jnp.zeros((), jnp.int32), params)

    def step(
        self, key: Array, state: MemorisationView, data: ScoredRecords
    ) -> tuple[MemorisationView, dict[str, Array]]:
        records, claimed = jnp.asarray(data.records), jnp.asarray(data.claimed)
        count = len(claimed)
        following = claimed[jnp.minimum(state.number, count - 1)]
        ending = claimed[jnp.maximum(state.number - 1, 0)]
        few = jnp.asarray(data.plotted)
        indices = [jnp.asarray(data.held_out), following, ending, few.ravel()]
        loss = losses(
            self.of.architecture, state.params, records[jnp.concatenate(indices)]
        )
        parts = jnp.split(loss, np.cumsum([len(i) for i in indices])[:-1])
        plotted = parts[3].reshape(few.shape).mean(axis=1)
        names = ("held_out", "before", "after")
        return state, dict(zip(names, parts, strict=False)) | {"plotted": plotted}


def select_records(
    task: Provenance, points: int, plotted: tuple[int, int]
) -> ScoredRecords:
    """Select the first records of each segment, and held-out ones.

    A held-out record is left out if the training saw an equal one: a text may hold a
    record twice.
    """
    order = task.prepare().order
    claimed = [
        np.resize(order[np.arange(a, b) % len(order)].ravel(), points)
        for a, b in segments(task)
    ]
    trained = {record.tobytes() for record in task.data[np.unique(order)]}
    held = task.order[len(task.data) - task.held_out :]
    fresh = [i for i in held if task.data[i].tobytes() not in trained]
    table = np.stack(claimed)
    few = table[plotted_segments(len(table), plotted[0]), : plotted[1]]
    return ScoredRecords(task.data, np.array(fresh[:points], np.int32), table, few)


def plotted_segments(segments: int, plotted: int) -> np.ndarray:
    """Select the segments of the plot, evenly spread."""
    return np.unique(np.linspace(0, segments - 1, plotted).round().astype(int))


def amounts(task: Provenance, points: int | None) -> tuple[int, tuple[int, int]]:
    """Decide how many records to score, of each segment and for the plot.

    By default it is a small share of a replay's work: a replayed record costs three
    forward passes, and a scored one three, too (held out, before, after).
    """
    seen, count = task.segment * task.batch, len(segments(task))
    few = PLOTTED_RECORDS
    if points is not None:
        points = min(points, seen)
        return points, (min(count, PLOTTED_SEGMENTS), min(points, 4 * few))
    points = int(min(max(WORK_SHARE * seen, MIN_POINTS), MAX_POINTS, seen))
    rows = min(max(2 * WORK_SHARE * seen / few, 2), count, PLOTTED_SEGMENTS)
    return points, (int(rows), few)


def score_spans(claims: Transcript) -> list[hs.Span]:
    """Spans of :class:`Scores`: one per checkpoint, loaded when it is needed."""

    def load(number: int, step: int) -> dict[str, np.ndarray]:
        weights = {n: a for n, a in claims.state(step).items() if "params" in n}
        return to_block({"number": np.array(number, np.int32)} | weights)

    steps = enumerate(checkpoint_steps(claims.task))
    return [hs.Span(n, 0, 1, lambda n=n, s=step: load(n, s)) for n, step in steps]
