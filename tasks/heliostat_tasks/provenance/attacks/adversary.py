"""What a cheating prover works with: an honest transcript, its key, its machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from heliostat.loop.run import run
from heliostat.loop.work import Job, Span
from heliostat.system.jit import jit
from heliostat_tasks.provenance import prg
from heliostat_tasks.provenance.models import MODELS
from heliostat_tasks.provenance.task import Provenance, State, checksum
from heliostat_tasks.provenance.transcript import writer
from heliostat_tasks.provenance.transcript.reader import Transcript
from heliostat_tasks.provenance.transcript.signing import Key

Tensors = dict[str, np.ndarray]


class Forgery(NamedTuple):
    """What is published instead of the truth."""

    states: dict[int, Tensors]
    log: np.ndarray
    nonce: bytes | None = None  # in place of the honest envelope
    task: Provenance | None = None  # with that nonce


class Forger:
    """An honest transcript, its prover's key, and the means to do otherwise.

    The middle segment, steps ``start`` + 1 to ``stop``, is where it is done.
    """

    def __init__(self, claims: Transcript, key: Key) -> None:
        self.claims, self.task, self.key = claims, claims.task, key
        self.ends = writer.stops(self.task)
        middle = (len(self.ends) - 1) // 2
        self.start, self.stop = self.ends[middle], self.ends[middle + 1]

    def honest(self) -> Forgery:
        states = {step: dict(self.claims.state(step)) for step in self.ends}
        return Forgery(states, self.claims.log.copy())

    def batches(self) -> list[np.ndarray]:
        """The records of each step of the middle segment, as they should be seen."""
        data = self.task.prepare()
        which = range(self.start, self.stop)
        return [data.records[data.order[t % len(data.order)]].copy() for t in which]

    def trained(
        self, batches: Iterable[np.ndarray], lr: float = 1.0, decay: float = 1.0
    ) -> Forgery:
        """The middle segment trained on other batches or by other rules, and honest
        training from there on."""
        state = state_of(self.claims.state(self.start))
        update = jit(lambda s, b: self.task.update(s, b, lr, decay))
        words, rows = jit(checksum), []
        for batch in batches:
            state, row = update(state, batch)
            rows.append((float(row["loss"]), np.asarray(words(state))))
        return self.carried_on(tensors_of(state), rows)

    def carried_on(
        self, state: Tensors, rows: list[tuple[float, np.ndarray]] | None = None
    ) -> Forgery:
        """Honest training from a state that is claimed for the middle segment's end."""
        state = state | {"step": np.asarray(self.stop, np.int32)}
        forged = self.honest()
        if rows:
            kept = rows[: self.stop - self.start]
            forged.log[self.start : self.start + len(kept)] = kept
        return self.continued(forged, self.stop, state)

    def continued(self, forged: Forgery, step: int, state: Tensors) -> Forgery:
        """A forgery with all that follows from a state by honest training."""
        forged.states[step] = state
        task = forged.task or self.task
        span = Span(0, step, task.train, {n: a[None, None] for n, a in state.items()})
        for chunk in run(Job(task, 0, False, (span,)), seconds=0.0):
            forged.states[chunk.stop] = {n: a[0, 0] for n, a in chunk.state.items()}
            part = forged.log[chunk.start : chunk.stop]
            part["loss"] = chunk.rows["loss"][0, 0]
            part["checksum"] = chunk.rows["checksum"][0, 0]
        return forged


def started(task: Provenance, seed: bytes) -> Tensors:
    """A state before the first step, of weights from another seed."""
    state = writer.first(task)
    for name, tensor in MODELS[task.model].tensors(task).items():
        if tensor.bound:
            drawn = prg.weights(seed, name, tensor.shape, tensor.bound)
            state[f"params.{name}"] = drawn
    return state


def state_of(tensors: Tensors) -> State:
    parts: dict[str, Any] = {"params": {}, "mu": {}, "nu": {}}
    for name, array in tensors.items():
        part, _, tensor = name.partition(".")
        if tensor:
            parts[part][tensor] = array
    return State(np.asarray(tensors["step"]), **parts)  # pyright: ignore


def tensors_of(state: State) -> Tensors:
    found = {"step": np.asarray(state.step)}
    for part in ("params", "mu", "nu"):
        named = getattr(state, part).items()
        found |= {f"{part}.{name}": np.asarray(array) for name, array in named}
    return found
