"""The models that can be trained and verified, by name; nothing else is ever built.

A model is a table of tensors and the loss of one record.  A transcript names one, with
numbers in known ranges: no code comes out of it.  Everything is float32, since half
precision rounds a hundred times coarser than the smallest tampering worth finding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from heliostat_tasks.provenance.prg import weights

if TYPE_CHECKING:
    from heliostat_tasks.provenance.task import Provenance

CLASSES = 10
"""Of the classifier."""

Params = Mapping[str, Array]


class Tensor(NamedTuple):
    """A tensor's shape, and how it starts: ``offset`` plus numbers within ``bound``."""

    shape: tuple[int, ...]
    bound: float
    offset: float = 0.0


class Model(NamedTuple):
    """What is trained."""

    tensors: Callable[[Provenance], dict[str, Tensor]]
    loss: Callable[[Provenance, Params, Array], Array]  # of one record (length + 1,)


def start(task: Provenance, seed: bytes) -> dict[str, np.ndarray]:
    """The initial weights: they follow from the seed, bit for bit."""
    return {
        name: np.float32(tensor.offset)
        + weights(seed, name, tensor.shape, tensor.bound)
        if tensor.bound
        else np.full(tensor.shape, tensor.offset, np.float32)
        for name, tensor in MODELS[task.model].tensors(task).items()
    }


def losses(task: Provenance, params: Params, records: Array) -> Array:
    """The loss of each record in nats, (n, length + 1) to (n,): per byte, or label."""
    one = lambda record: MODELS[task.model].loss(task, params, record)  # noqa: E731
    return jax.vmap(one)(records)


# -- a byte-level transformer ----------------------------------------------------------


def _transformer(task: Provenance) -> dict[str, Tensor]:
    d, unit = task.channels, math.sqrt(3.0)  # uniform in ±√3 has variance 1
    tensors = {
        "embed": Tensor((256, d), unit * 0.02),
        "place": Tensor((task.length, d), unit * 0.02),
        "scale": Tensor((d,), 0.0, 1.0),
    }
    wide, deep = unit / math.sqrt(d), unit / math.sqrt(8 * d * task.layers)
    for i in range(task.layers):
        tensors |= {
            f"block{i}.scale": Tensor((d,), 0.0, 1.0),
            f"block{i}.qkv": Tensor((d, 3 * d), wide),
            f"block{i}.out": Tensor((d, d), wide / math.sqrt(2 * task.layers)),
            f"block{i}.widen": Tensor((d, 4 * d), wide),
            f"block{i}.narrow": Tensor((4 * d, d), deep),
            f"block{i}.scale2": Tensor((d,), 0.0, 1.0),
        }
    return tensors


def _next_byte(task: Provenance, params: Params, record: Array) -> Array:
    """Mean −log p(byte | bytes before it) over a record, causal attention."""
    x = params["embed"][record[:-1]] + params["place"]
    for i in range(task.layers):
        block = {n: params[f"block{i}.{n}"] for n in BLOCK}
        x = x + _attention(_normed(x, block["scale"]), block, task.heads)
        hidden = jax.nn.gelu(_normed(x, block["scale2"]) @ block["widen"])
        x = x + hidden @ block["narrow"]
    logits = _normed(x, params["scale"]) @ params["embed"].T
    chosen = jax.nn.one_hot(record[1:], 256, dtype=logits.dtype)
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * chosen, axis=-1))


BLOCK = ("scale", "qkv", "out", "widen", "narrow", "scale2")


def _attention(x: Array, block: Params, heads: int) -> Array:
    length, d = x.shape
    q, k, v = jnp.split(x @ block["qkv"], 3, axis=-1)
    apart = lambda y: y.reshape(length, heads, d // heads)  # noqa: E731
    scores = jnp.einsum("qhc,khc->hqk", apart(q), apart(k)) / math.sqrt(d // heads)
    before = jnp.tril(jnp.ones((length, length), bool))
    shares = jax.nn.softmax(jnp.where(before[None], scores, -jnp.inf))
    return (
        jnp.einsum("hqk,khc->qhc", shares, apart(v)).reshape(length, d) @ block["out"]
    )


def _normed(x: Array, scale: Array) -> Array:
    """Root-mean-square normalisation."""
    size = jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)
    return x * size * scale[None]


# -- a classifier ----------------------------------------------------------------------


def _layers(task: Provenance) -> dict[str, Tensor]:
    sizes = [task.length, *[task.channels] * task.layers, CLASSES]
    tensors = {}
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        tensors[f"layer{i}.weights"] = Tensor((n, m), math.sqrt(6.0 / n))
        tensors[f"layer{i}.bias"] = Tensor((m,), 0.0)
    return tensors


def _label(task: Provenance, params: Params, record: Array) -> Array:
    """−log p(label | features), of features in 1/255 and the label behind them."""
    x = record[:-1].astype(jnp.float32) / 255
    for i in range(task.layers + 1):
        x = jax.nn.relu(x) if i else x
        x = x @ params[f"layer{i}.weights"] + params[f"layer{i}.bias"]
    chosen = jax.nn.one_hot(record[-1], CLASSES, dtype=x.dtype)
    return -jnp.sum(jax.nn.log_softmax(x) * chosen)


MODELS = {"tiny-lm": Model(_transformer, _next_byte), "mlp": Model(_layers, _label)}
