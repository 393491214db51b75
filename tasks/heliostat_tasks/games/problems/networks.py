"""Networks of generators and discriminators.

Units are smooth, x σ(x), so that derivatives through a run exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

Layers = list[dict[str, Any]]
"""Weights and biases of dense layers."""


def dense_layers(key: Array, sizes: Sequence[int]) -> Layers:
    """Draw the weights of dense layers, with variance 2 over the inputs.

    Args:
        key: randomness.
        sizes: numbers per example before the first layer, between layers, and after
            the last.

    Example:
        >>> [layer["w"].shape for layer in dense_layers(jax.random.key(0), (2, 8, 1))]
        [(2, 8), (8, 1)]
    """
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"w": jax.random.normal(k, (m, n)) * (2 / m) ** 0.5, "b": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def dense(
    layers: Layers, x: Float[Array, "batch inputs"]
) -> Float[Array, "batch outputs"]:
    """Apply dense layers with smooth units between them."""
    for layer in layers[:-1]:
        x = jax.nn.silu(x @ layer["w"] + layer["b"][None])
    return x @ layers[-1]["w"] + layers[-1]["b"][None]


def logistic_losses(real: Array, fake: Array) -> tuple[Array, Array]:
    """Return the losses of generator and discriminator from its logits.

        ℓ_G = −E log σ(D(fake)),    ℓ_D = −E log σ(D(real)) − E log σ(−D(fake))

    Reference: Goodfellow et al., arXiv:1406.2661, section 3, the loss that does not
    saturate.
    """
    generator = jnp.mean(jax.nn.softplus(-fake))
    discriminator = jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))
    return generator, discriminator


def gradient_penalty(logits: Any, examples: Array) -> Float[Array, ""]:
    """Return E |∂D/∂x|² at real examples.

    Reference: Mescheder, Geiger, Nowozin, arXiv:1801.04406, eq. 9.
    """
    gradient = jax.grad(lambda x: jnp.sum(logits(x)))(examples)
    return jnp.mean(jnp.sum(gradient.reshape(len(examples), -1) ** 2, axis=1))


def conv_layer(
    key: Array, inputs: int, outputs: int, width: int = 3
) -> dict[str, Array]:
    """Draw the weights of a convolution, with variance 2 over the inputs."""
    scale = (2 / (width**2 * inputs)) ** 0.5
    weights = scale * jax.random.normal(key, (width, width, inputs, outputs))
    return {"w": weights, "b": jnp.zeros(outputs)}


def conv(
    layer: dict[str, Array], x: Float[Array, "batch rows columns inputs"]
) -> Float[Array, "batch rows columns outputs"]:
    """Convolve images with square weights; their size stays."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(
        x, layer["w"], (1, 1), "SAME", dimension_numbers=dimensions
    )
    return y + layer["b"][None, None, None]


def double(
    x: Float[Array, "batch rows columns channels"],
) -> Float[Array, "batch rows2 columns2 channels"]:
    """Repeat every pixel, in both directions."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def halve(
    x: Float[Array, "batch rows columns channels"],
) -> Float[Array, "batch rows2 columns2 channels"]:
    """Average blocks of 2 × 2 pixels."""
    batch, rows, columns, channels = x.shape
    blocks = x.reshape(batch, rows // 2, 2, columns // 2, 2, channels)
    return blocks.mean(axis=(2, 4))
