"""A cheating prover: an honest transcript, its key, and the means to forge another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

import heliostat as hs
from heliostat.system.jit import jit
from heliostat_tasks.provenance import prg
from heliostat_tasks.provenance.models import tensor_specs
from heliostat_tasks.provenance.task import Provenance, checksum
from heliostat_tasks.provenance.transcript.file_format import (
    Tensors,
    checkpoint_steps,
    from_block,
    initial_tensors,
    to_block,
    to_state,
    to_tensors,
)
from heliostat_tasks.provenance.transcript.reader import Transcript
from heliostat_tasks.provenance.transcript.signing import KeyPair


class Forgery(NamedTuple):
    """Content of a forged transcript."""

    states: dict[int, Tensors]  # by step
    log: np.ndarray
    nonce: bytes | None = None  # envelope, in place of the honest one
    task: Provenance | None = None  # with that nonce


class Adversary:
    """A prover that changes the middle segment, steps ``start`` + 1 to ``stop``.

    Args:
        claims: its honest transcript.
        key: its key.
    """

    def __init__(self, claims: Transcript, key: KeyPair) -> None:
        self.claims, self.task, self.key = claims, claims.task, key
        self.ends = checkpoint_steps(self.task)
        middle = (len(self.ends) - 1) // 2
        self.start, self.stop = self.ends[middle], self.ends[middle + 1]

    def honest(self) -> Forgery:
        """Copy the honest transcript."""
        states = {step: dict(self.claims.state(step)) for step in self.ends}
        return Forgery(states, self.claims.log.copy())

    def batches(self) -> list[np.ndarray]:
        """The declared records of each step of the middle segment."""
        data = self.task.prepare()
        steps = range(self.start, self.stop)
        return [data.records[data.order[t % len(data.order)]].copy() for t in steps]

    def train_middle(
        self, batches: Iterable[np.ndarray], lr: float = 1.0, decay: float = 1.0
    ) -> Forgery:
        """Train the middle segment otherwise, and honestly from there on.

        Args:
            batches: records of each step.
            lr: factor on the learning rate.
            decay: factor on the weight decay.
        """
        state = to_state(self.claims.state(self.start))
        update = jit(lambda s, b: self.task.update(s, b, lr, decay))
        words, rows = jit(checksum), []
        for batch in batches:
            state, row = update(state, batch)
            rows.append((float(row["loss"]), np.asarray(words(state))))
        return self.replace_middle(to_tensors(state), rows)

    def replace_middle(
        self, state: Tensors, rows: list[tuple[float, np.ndarray]] | None = None
    ) -> Forgery:
        """Claim a state for the middle segment's end, and train honestly from there.

        Args:
            state: state of step ``stop``.
            rows: loss and checksum of each step of the segment; default the honest log.
        """
        state = state | {"step": np.asarray(self.stop, np.int32)}
        forgery = self.honest()
        if rows:
            logged = rows[: self.stop - self.start]
            forgery.log[self.start : self.start + len(logged)] = logged
        return self.train_on(forgery, self.stop, state)

    def train_on(self, forgery: Forgery, step: int, state: Tensors) -> Forgery:
        """Replace a state, and all after it by honest training from that state."""
        forgery.states[step] = state
        task = forgery.task or self.task
        span = hs.Span(0, step, task.train, to_block(state))
        for chunk in hs.replay(task, [span], on="here"):
            forgery.states[chunk.stop] = from_block(chunk.state)
            rows = from_block(chunk.rows)
            part = forgery.log[chunk.start : chunk.stop]
            part["loss"], part["checksum"] = rows["loss"], rows["checksum"]
        return forgery


def other_start(task: Provenance, seed: bytes) -> Tensors:
    """Make a state before the first step, with weights from another seed."""
    state = initial_tensors(task)
    for name, spec in tensor_specs(task.architecture).items():
        if spec.bound:
            weights = prg.weights(seed, name, spec.shape, spec.bound)
            state[f"params.{name}"] = weights
    return state
