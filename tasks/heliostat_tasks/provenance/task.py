"""A training that can be replayed: all of it follows from what was committed."""

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
from heliostat_tasks.provenance.validate import check

if TYPE_CHECKING:
    import xarray as xr

ADAM = optax.scale_by_adam()
MULTIPLIERS = (0x9E3779B1, 0x85EBCA77)  # odd, of the two checksums


class Data(NamedTuple):
    """What a worker prepares once."""

    records: np.ndarray  # (n, length + 1) uint8
    order: np.ndarray  # (batches, batch) int32, which records a step sees
    start: Mapping[str, np.ndarray]  # initial weights


class State(NamedTuple):
    """All that the next step needs, in float32: the moments are half of the truth."""

    step: Array  # () int32, steps taken
    params: Mapping[str, Array]
    mu: Mapping[str, Array]  # first moments
    nu: Mapping[str, Array]  # second moments


@dataclass(frozen=True)
class Provenance(hs.Task):
    """A training whose data can be proved: W_t+1 = AdamW(W_t, batch Π_t of the data).

    Initial weights and the order of the data follow from the data, these fields and a
    nonce that somebody else drew after both were committed.  A step is one update, a
    stride is the segment that a verifier replays.  The last ``held_out`` records of the
    order are never trained on.

    Example:
        >>> Provenance(model="mlp", channels=8, train=10).stride
        25

    Reference: Choi, Shavit and Duvenaud, arXiv:2307.00682.
    """

    model: Literal["tiny-lm", "mlp"] = "tiny-lm"  # bytes of text, or a classifier
    records: hs.File | None = None  # bytes, length + 1 each; default stdlib or digits
    nonce: str = ""  # hexadecimal, from whoever shall believe the result
    length: int = 64  # bytes that a record predicts, or features before its label
    channels: int = 64  # width of the model
    layers: int = 2  # blocks, or hidden layers
    heads: int = 4  # of attention
    batch: int = 32  # records in a step
    train: int = 1000  # steps that learn; later ones change nothing
    segment: int = 25  # steps between checkpoints, which a verifier replays as one
    lr: float = 2e-3  # learning rate of AdamW
    warmup: int = 20  # steps in which it rises
    decay: float = 0.1  # weight decay of AdamW
    clip: float = 1.0  # longest gradient
    held_out: int = 1024  # records that are never trained on

    emits = {
        "loss": hs.Var(units="nat", about="mean loss of the batch"),
        "gradient": hs.Var(about="length of the gradient"),
        "checksum": hs.Var(("word",), "uint32", about="of all bits of the state"),
    }
    finds = ("loss",)
    kept = None  # each begins a segment that somebody may want replayed

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., hs.Answer]]:
        from heliostat_tasks.provenance import verbs

        return verbs.VERBS

    @property
    def steps(self) -> int:
        return self.train

    @property
    def stride(self) -> int:
        return self.segment

    @property
    def spec(self) -> dict[str, Any]:
        """What is trained, and how; apart from the data and the nonce."""
        named = [f.name for f in fields(self) if f.name not in ("records", "nonce")]
        return {name: getattr(self, name) for name in named}

    @cached_property
    def data(self) -> np.ndarray:
        """The records, (n, length + 1) uint8."""
        return corpus.records_of(self)

    @cached_property
    def seed(self) -> bytes:
        """Where initial weights and order come from."""
        from heliostat_tasks.provenance.transcript.formats import canonical

        nonce = bytes.fromhex(self.nonce)
        return prg.seed_of(corpus.root_of(self.data), canonical(self.spec), nonce)

    @cached_property
    def order(self) -> np.ndarray:
        """All records in their order; the last ``held_out`` are not trained on."""
        return prg.order(self.seed, len(self.data))

    def canonical(self) -> dict[str, Any]:
        """Records that are not named are those of this Python: their digest."""
        return {} if self.records else {"records": corpus.digest_of(self)}

    def prepare(self) -> Data:
        trained = len(self.data) - self.held_out
        batches = trained // self.batch
        order = self.order[: batches * self.batch].reshape(batches, self.batch)
        return Data(self.data, order, models.start(self, self.seed))

    def init(self, key: Array, replica: Array, data: Data) -> State:
        params = jax.tree.map(jnp.asarray, dict(data.start))
        none = jax.tree.map(jnp.zeros_like, params)
        return State(jnp.zeros((), jnp.int32), params, none, none)

    def step(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        order = jnp.asarray(data.order)
        batch = jnp.asarray(data.records)[order[state.step % len(order)]]
        new, row = self.update(state, batch)
        going = state.step < self.train
        state = jax.tree.map(lambda a, b: jnp.where(going, a, b), new, state)
        return state, row | {"checksum": checksum(state)}

    def update(
        self, state: State, batch: Array, lr: float = 1.0, decay: float = 1.0
    ) -> tuple[State, dict[str, Array]]:
        """One step of AdamW on a batch (batch, length + 1) uint8.

        ``lr`` and ``decay`` multiply the fields of that name: honest training has 1.
        """

        def mean(params: models.Params) -> Array:
            return jnp.mean(models.losses(self, params, batch))

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
        """The loss over the last segment, of batches not seen before."""
        last = rows.loss.values[-self.segment :].astype(float)
        error = last.std(ddof=1) / len(last) ** 0.5 if len(last) > 1 else np.nan
        return {"loss": hs.Estimate(float(last.mean()), float(error), "nat")}


def checksum(state: State) -> Array:
    """Two words over all bits of a state, (2,) uint32: where two trainings part.

    Σ_i bits_i (2 m i + 1) mod 2³², by exact integer sums, which no order changes.  It
    localises, and proves nothing: digests of checkpoints do that.
    """
    words = jnp.zeros(2, jnp.uint32)
    for number, leaf in enumerate(jax.tree.leaves(state[1:])):
        bits = jax.lax.bitcast_convert_type(leaf, jnp.uint32).ravel()
        place = jnp.arange(bits.size, dtype=jnp.uint32) + jnp.uint32(number << 20)
        factors = [2 * jnp.uint32(m) * place + jnp.uint32(1) for m in MULTIPLIERS]
        words += jnp.stack([jnp.sum(bits * f, dtype=jnp.uint32) for f in factors])
    return words


def digest(task: Provenance) -> str:
    """SHA-256 of the whole order, as a transcript states it."""
    return hashlib.sha256(task.order.astype("<i4").tobytes()).hexdigest()
