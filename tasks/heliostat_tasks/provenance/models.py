"""Models that can be trained and verified, by name.

A model is a table of tensors and the loss of one record. A transcript names a model and
gives sizes in known ranges; it contains no code. Everything is float32: half precision
rounds a hundred times more coarsely than the smallest tampering worth detecting.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, UInt8

from heliostat_tasks.provenance.prg import weights

CLASSES = 10
"""Classes of the classifier."""

Params = Mapping[str, Array]

Record = UInt8[Array, " width"]
"""``length + 1`` bytes."""

Scalar = Float[Array, ""]


class Architecture(NamedTuple):
    """Name and sizes of a model."""

    model: str  # a key of MODELS
    length: int  # bytes that a record predicts, or features before its label
    channels: int  # width
    layers: int  # blocks, or hidden layers
    heads: int  # attention heads


class TensorSpec(NamedTuple):
    """Shape of a tensor; it starts at ``offset`` plus numbers within ``bound``."""

    shape: tuple[int, ...]
    bound: float
    offset: float = 0.0


class ModelFamily(NamedTuple):
    """Tensors of a model, and the loss of one record."""

    tensors: Callable[[Architecture], dict[str, TensorSpec]]
    loss: Callable[[Architecture, Params, Array], Array]


def tensor_specs(architecture: Architecture) -> dict[str, TensorSpec]:
    """List the tensors of a model by name."""
    return MODELS[architecture.model].tensors(architecture)


def initial_weights(
    architecture: Architecture, seed: bytes
) -> dict[str, Float[np.ndarray, ...]]:
    """Draw the initial weights: the seed determines every bit.

    Args:
        architecture: architecture of the model.
        seed: (32,) bytes.

    Returns:
        float32 tensors by name.
    """
    return {
        name: np.float32(spec.offset) + weights(seed, name, spec.shape, spec.bound)
        if spec.bound
        else np.full(spec.shape, spec.offset, np.float32)
        for name, spec in tensor_specs(architecture).items()
    }


def losses(
    architecture: Architecture, params: Params, records: UInt8[Array, "n width"]
) -> Float[Array, " n"]:
    """Compute the loss of each record, per byte or per label.

    Args:
        architecture: architecture of the model.
        params: weights by name.
        records: (n, length + 1) uint8.

    Returns:
        (n,) nats.
    """
    loss = MODELS[architecture.model].loss
    return jax.vmap(lambda record: loss(architecture, params, record))(records)


# -- a byte-level transformer ----------------------------------------------------------


def _transformer(architecture: Architecture) -> dict[str, TensorSpec]:
    _, length, d, layers, _ = architecture
    unit = math.sqrt(3.0)  # uniform in ±√3 has variance 1
    tensors = {
        "embed": TensorSpec((256, d), unit * 0.02),
        "place": TensorSpec((length, d), unit * 0.02),
        "scale": TensorSpec((d,), 0.0, 1.0),
    }
    wide, deep = unit / math.sqrt(d), unit / math.sqrt(8 * d * layers)
    for i in range(layers):
        tensors |= {
            f"block{i}.scale": TensorSpec((d,), 0.0, 1.0),
            f"block{i}.qkv": TensorSpec((d, 3 * d), wide),
            f"block{i}.out": TensorSpec((d, d), wide / math.sqrt(2 * layers)),
            f"block{i}.widen": TensorSpec((d, 4 * d), wide),
            f"block{i}.narrow": TensorSpec((4 * d, d), deep),
            f"block{i}.scale2": TensorSpec((d,), 0.0, 1.0),
        }
    return tensors


def _next_byte(architecture: Architecture, params: Params, record: Record) -> Scalar:
    """Mean −log p(byte | bytes before it) over a record, with causal attention."""
    x = params["embed"][record[:-1]] + params["place"]
    for i in range(architecture.layers):
        block = {n: params[f"block{i}.{n}"] for n in BLOCK}
        x = x + _attention(_normed(x, block["scale"]), block, architecture.heads)
        hidden = jax.nn.gelu(_normed(x, block["scale2"]) @ block["widen"])
        x = x + hidden @ block["narrow"]
    logits = _normed(x, params["scale"]) @ params["embed"].T
    target = jax.nn.one_hot(record[1:], 256, dtype=logits.dtype)
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * target, axis=-1))


BLOCK = ("scale", "qkv", "out", "widen", "narrow", "scale2")


def _attention(
    x: Float[Array, "length d"], block: Params, heads: int
) -> Float[Array, "length d"]:
    length, d = x.shape
    q, k, v = jnp.split(x @ block["qkv"], 3, axis=-1)
    by_head = lambda y: y.reshape(length, heads, d // heads)  # noqa: E731
    scores = jnp.einsum("qhc,khc->hqk", by_head(q), by_head(k)) / math.sqrt(d // heads)
    causal = jnp.tril(jnp.ones((length, length), bool))
    shares = jax.nn.softmax(jnp.where(causal[None], scores, -jnp.inf))
    values = jnp.einsum("hqk,khc->qhc", shares, by_head(v))
    return values.reshape(length, d) @ block["out"]


def _normed(
    x: Float[Array, "length d"], scale: Float[Array, " d"]
) -> Float[Array, "length d"]:
    """Root-mean-square normalisation."""
    size = jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)
    return x * size * scale[None]


# -- a classifier ----------------------------------------------------------------------


def _layers(architecture: Architecture) -> dict[str, TensorSpec]:
    _, length, channels, layers, _ = architecture
    tensors = {}
    for i, (n, m) in enumerate(
        itertools.pairwise([length, *[channels] * layers, CLASSES])
    ):
        tensors[f"layer{i}.weights"] = TensorSpec((n, m), math.sqrt(6.0 / n))
        tensors[f"layer{i}.bias"] = TensorSpec((m,), 0.0)
    return tensors


def _label(architecture: Architecture, params: Params, record: Record) -> Scalar:
    """−log p(label | features), of features in 1/255 and the label behind them."""
    x = record[:-1].astype(jnp.float32) / 255
    for i in range(architecture.layers + 1):
        x = jax.nn.relu(x) if i else x
        x = x @ params[f"layer{i}.weights"] + params[f"layer{i}.bias"]
    target = jax.nn.one_hot(record[-1], CLASSES, dtype=x.dtype)
    return -jnp.sum(jax.nn.log_softmax(x) * target)


MODELS = {
    "tiny-lm": ModelFamily(_transformer, _next_byte),
    "mlp": ModelFamily(_layers, _label),
}
