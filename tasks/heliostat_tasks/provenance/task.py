"""The task: a training that is determined by committed data, fields and a nonce."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

import heliostat as hs
from heliostat_tasks.provenance import corpus, models, prg
from heliostat_tasks.provenance.canonical import to_json
from heliostat_tasks.provenance.validate import check_fields, check_nonce

if TYPE_CHECKING:
    import xarray as xr

ADAM = optax.scale_by_adam()
MULTIPLIERS = (0x9E3779B1, 0x85EBCA77)  # odd, of the two checksums


class Data(NamedTuple):
    """Records, their order, and the initial weights."""

    records: np.ndarray  # (n, length + 1) uint8
    order: np.ndarray  # (batches, batch) int32, numbers of the records of a step
    start: Mapping[str, np.ndarray]  # initial weights


class State(NamedTuple):
    """Weights and moments of Adam, float32: the next step depends on both."""

    step: Array  # () int32, steps taken
    params: Mapping[str, Array]
    mu: Mapping[str, Array]  # first moments
    nu: Mapping[str, Array]  # second moments


@dataclass(frozen=True)
class Provenance(hs.Task):
    """A training whose data can be proved: W_t+1 = AdamW(W_t, batch Π_t of the data).

    Initial weights and the order of the data follow from the data, these fields and a
    nonce that somebody else drew after both were committed. A step is one update; a
    stride is the segment that a verifier replays. The last ``held_out`` records of the
    order are never trained on.

    Example:
        >>> Provenance(model="mlp", channels=8, train=10).stride
        25

    Reference: Choi, Shavit and Duvenaud, arXiv:2307.00682.
    """

    model: Literal["tiny-lm", "mlp"] = "tiny-lm"  # bytes of text, or a classifier
    records: hs.File | None = None  # bytes, length + 1 each; default stdlib or digits
    nonce: str = ""  # hexadecimal, drawn by the verifier
    length: int = 64  # bytes that a record predicts, or features before its label
    channels: int = 64  # width of the model
    layers: int = 2  # blocks, or hidden layers
    heads: int = 4  # attention heads
    batch: int = 32  # records in a step
    train: int = 1000  # steps that learn; later ones change nothing
    segment: int = 25  # steps between checkpoints, replayed as one
    lr: float = 2e-3  # learning rate of AdamW
    warmup: int = 20  # steps over which the learning rate rises
    decay: float = 0.1  # weight decay of AdamW
    clip: float = 1.0  # largest norm of the gradient
    held_out: int = 1024  # records that are never trained on

    emits = {
        "loss": hs.Var(units="nat", about="mean loss of the batch"),
        "gradient": hs.Var(about="length of the gradient"),
        "checksum": hs.Var(
            ("word",), "uint32", about="of all bits of the state", exact=True
        ),
    }
    finds = ("loss",)
    kept = None  # every state: each begins a segment that may be replayed

    def __post_init__(self) -> None:
        check_fields(self.spec)
        hs.check_used(self, {"heads": (self.model == "tiny-lm", "model tiny-lm")})
        check_nonce(self.nonce)

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., hs.Answer]]:
        """Commands of ``heliostat provenance``, by name."""
        from heliostat_tasks.provenance import verbs

        return verbs.VERBS

    @property
    def steps(self) -> int:
        """Number of steps that learn."""
        return self.train

    @property
    def stride(self) -> int:
        """Steps of a segment."""
        return self.segment

    @property
    def spec(self) -> dict[str, Any]:
        """All fields but data and nonce, by name."""
        names = [f.name for f in fields(self) if f.name not in ("records", "nonce")]
        return {name: getattr(self, name) for name in names}

    @property
    def architecture(self) -> models.Architecture:
        """Name and sizes of the model."""
        sizes = (self.length, self.channels, self.layers, self.heads)
        return models.Architecture(self.model, *sizes)

    @cached_property
    def data(self) -> np.ndarray:
        """The records, (n, length + 1) uint8."""
        return self._read_records()

    @cached_property
    def seed(self) -> bytes:
        """Seed of the initial weights and of the order."""
        nonce = bytes.fromhex(self.nonce)
        return prg.seed_of(corpus.merkle_root(self.data), to_json(self.spec), nonce)

    @cached_property
    def order(self) -> np.ndarray:
        """Order of all records, (n,) int32; the last ``held_out`` are not trained."""
        return prg.permutation(self.seed, len(self.data))

    @property
    def order_digest(self) -> str:
        """SHA-256 of the order, as in a transcript."""
        return hashlib.sha256(self.order.astype("<i4").tobytes()).hexdigest()

    def canonical(self) -> dict[str, Any]:
        """Resolve unnamed records to their digest: they are those of this Python."""
        return {} if self.records else {"records": corpus.digest(self._read_records())}

    def prepare(self) -> Data:
        """Read the records, and draw their order and the initial weights."""
        trained = len(self.data) - self.held_out
        batches = trained // self.batch
        order = self.order[: batches * self.batch].reshape(batches, self.batch)
        start = models.initial_weights(self.architecture, self.seed)
        return Data(self.data, order, start)

    def init(self, key: Array, replica: Array, data: Data) -> State:
        """Start from the initial weights; the key is not used.

        Args:
            key: not used, the seed decides.
            replica: () int32, 0.
            data: result of :meth:`prepare`.

        Returns:
            The state before the first step.
        """
        params = jax.tree.map(jnp.asarray, dict(data.start))
        zeros = jax.tree.map(jnp.zeros_like, params)
        return State(jnp.zeros((), jnp.int32), params, zeros, zeros)

    def step(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        """Update on the next batch; after ``train`` steps the state stays.

        Args:
            key: not used.
            state: after the last step.
            data: result of :meth:`prepare`.

        Returns:
            The next state, and its row: loss, length of the gradient, checksum.
        """
        order = jnp.asarray(data.order)
        batch = jnp.asarray(data.records)[order[state.step % len(order)]]
        new, row = self.update(state, batch)
        training = state.step < self.train
        state = jax.tree.map(lambda a, b: jnp.where(training, a, b), new, state)
        return state, row | {"checksum": checksum(state)}

    def update(
        self, state: State, batch: Array, lr: float = 1.0, decay: float = 1.0
    ) -> tuple[State, dict[str, Array]]:
        """Make one step of AdamW on a batch.

        Args:
            state: before the step.
            batch: (batch, length + 1) uint8.
            lr: factor on the learning rate, 1 in an honest training.
            decay: factor on the weight decay, 1 in an honest training.

        Returns:
            The next state; loss and length of the gradient.
        """

        def mean(params: models.Params) -> Array:
            return jnp.mean(models.losses(self.architecture, params, batch))

        loss, gradient = jax.value_and_grad(mean)(dict(state.params))
        length = optax.tree.norm(gradient)
        shrunk = jnp.minimum(1.0, self.clip / jnp.maximum(length, 1e-30))
        gradient = jax.tree.map(lambda g: g * shrunk, gradient)
        moments = optax.ScaleByAdamState(state.step, state.mu, state.nu)
        change, moments = cast(Any, ADAM.update(gradient, moments))
        rate = lr * self.lr * jnp.minimum(1.0, (state.step + 1) / max(self.warmup, 1))
        move = lambda w, u: w - rate * (u + decay * self.decay * w)  # noqa: E731
        params = jax.tree.map(move, dict(state.params), change)
        new = State(state.step + 1, params, moments.mu, moments.nu)
        return new, {"loss": loss, "gradient": length}

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        """Estimate the loss over the last segment, on batches not seen before.

        Args:
            rows: all rows of a run.

        Returns:
            ``loss``, nats.
        """
        last = rows.loss.values[-self.segment :].astype(float)
        error = last.std(ddof=1) / len(last) ** 0.5 if len(last) > 1 else np.nan
        return {"loss": hs.Estimate(float(last.mean()), float(error), "nat")}

    def _read_records(self) -> np.ndarray:
        sizes = (self.architecture, self.held_out, self.batch)
        return corpus.read_records(self.records, *sizes)


def checksum(state: State) -> Array:
    """Compute two words over all bits of a state, to locate where two trainings differ.

    Σ_i bits_i (2 m i + 1) mod 2³², by exact integer sums, which do not depend on their
    order. It proves nothing: digests of checkpoints do that.

    Returns:
        (2,) uint32.
    """
    words = jnp.zeros(2, jnp.uint32)
    for number, leaf in enumerate(jax.tree.leaves(state[1:])):
        bits = jax.lax.bitcast_convert_type(leaf, jnp.uint32).ravel()
        index = jnp.arange(bits.size, dtype=jnp.uint32) + jnp.uint32(number << 20)
        factors = [2 * jnp.uint32(m) * index + jnp.uint32(1) for m in MULTIPLIERS]
        words += jnp.stack([jnp.sum(bits * f, dtype=jnp.uint32) for f in factors])
    return words
