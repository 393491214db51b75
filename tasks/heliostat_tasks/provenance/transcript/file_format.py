"""Format of a transcript: names of its files, steps of its checkpoints.

    commitment.dsse.json     data and fields, signed by the prover before the seed
    nonce.dsse.json          a nonce for it, signed by the issuer; determines the seed
    data/records.bin         the committed records
    ckpt/000025.safetensors  weights and both moments, float32, after each segment
    log/steps.bin            loss and checksums of every step
    transcript.dsse.json     digests of everything, signed by the prover at the end

Names of files follow from numbers of steps: a transcript never says where to read.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from heliostat_tasks.provenance.models import initial_weights
from heliostat_tasks.provenance.task import Provenance, State

COMMITMENT, NONCE = "commitment.dsse.json", "nonce.dsse.json"
TRANSCRIPT = "transcript.dsse.json"
RECORDS, LOG = "data/records.bin", "log/steps.bin"
NONCE_BYTES = 32

PROTOCOL = f"provenance {Provenance.task_version}"
"""Name and version of the protocol: another version would train differently."""

LOG_ENTRY = np.dtype([("loss", "<f4"), ("checksum", "<u4", (2,))])
"""One step of the log."""

Tensors = dict[str, np.ndarray]
"""A state as named arrays."""


def checkpoint_name(step: int) -> str:
    """Name of the checkpoint after a step."""
    return f"ckpt/{step:06d}.safetensors"


def checkpoint_steps(task: Provenance) -> list[int]:
    """Steps with a checkpoint: 0, the end of every segment, and the last."""
    return [*range(0, task.train, task.segment), task.train]


def segments(task: Provenance) -> list[tuple[int, int]]:
    """Steps of the two checkpoints of each segment."""
    return [*itertools.pairwise(checkpoint_steps(task))]


def initial_tensors(task: Provenance) -> Tensors:
    """The state before the first step, as named arrays."""
    start = initial_weights(task.architecture, task.seed)
    tensors = {"step": np.zeros((), np.int32)}
    tensors |= {f"params.{name}": value for name, value in start.items()}
    for moment in ("mu", "nu"):
        tensors |= {f"{moment}.{n}": np.zeros_like(v) for n, v in start.items()}
    return tensors


def to_tensors(state: State) -> Tensors:
    """Name the arrays of a state."""
    tensors = {"step": np.asarray(state.step)}
    for part in ("params", "mu", "nu"):
        arrays = getattr(state, part).items()
        tensors |= {f"{part}.{name}": np.asarray(array) for name, array in arrays}
    return tensors


def to_state(tensors: Mapping[str, np.ndarray]) -> State:
    """Make a state of its named arrays."""
    parts: dict[str, Any] = {"params": {}, "mu": {}, "nu": {}}
    for name, array in tensors.items():
        part, _, tensor = name.partition(".")
        if tensor:
            parts[part][tensor] = array
    return State(np.asarray(tensors["step"]), **parts)  # pyright: ignore


def to_block(tensors: Mapping[str, np.ndarray]) -> Tensors:
    """Arrays of a block of one replica, as ``hs.replay`` takes them."""
    return {name: array[None, None] for name, array in tensors.items()}


def from_block(arrays: Mapping[str, np.ndarray]) -> Tensors:
    """Arrays of the one replica of a block, as ``hs.replay`` gives them."""
    return {name: array[0, 0, ...] for name, array in arrays.items()}
