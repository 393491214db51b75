"""Residual networks of images with classes, in the manner of BigGAN.

    weights     W / σ(W), with σ the largest singular value
    generator   y = conv(relu(norm(x, class))) twice, doubled, plus the shortcut
    critic      h = Σ relu(features),    logit = wᵀ h + e_classᵀ h

Normalisation takes the mean and variance of the batch, and the class chooses gain and
bias.

References: Brock, Donahue, Simonyan, arXiv:1809.11096, appendix B; Miyato et al.,
arXiv:1802.05957 (spectral normalisation); Miyato, Koyama, arXiv:1802.05637, eq. 3
(projection).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from heliostat_tasks.games.problems.networks import (
    conv,
    conv_layer,
    dense_layers,
    double,
    halve,
)

Maps = Float[Array, "batch _ _ _"]
"""Channels of images, or of layers."""


def normalised(layer: dict[str, Array]) -> dict[str, Array]:
    """Divide weights by their largest singular value, whose directions are constants.

        σ = uᵀ W v

    v is the result of 64 power iterations of WᵀW, as six squarings.

    Example:
        >>> layer = {"w": jnp.diag(jnp.array([4.0, 1.0])), "b": jnp.zeros(2)}
        >>> jnp.diag(normalised(layer)["w"]).round(3).tolist()
        [1.0, 0.25]

    Reference: arXiv:1802.05957, section 2.1.
    """
    w = layer["w"].reshape(-1, layer["w"].shape[-1])
    fixed = jax.lax.stop_gradient(w)
    power = fixed.T @ fixed
    for _ in range(6):
        power = power / jnp.linalg.norm(power)
        power = power @ power
    v = power @ jnp.ones(power.shape[-1], power.dtype)
    v = v / jnp.linalg.norm(v)
    u = fixed @ v
    largest = (u / jnp.linalg.norm(u)) @ w @ v
    return layer | {"w": layer["w"] / largest}


def class_norm_weights(channels: int, classes: int) -> dict[str, Array]:
    """Return gains of one and biases of zero for every class."""
    shape = (classes, channels)
    return {"gain": jnp.ones(shape), "bias": jnp.zeros(shape)}


def class_norm(w: dict[str, Array], x: Maps, labels: Int[Array, " batch"]) -> Maps:
    """Normalise channels over the batch; the class gives their gain and bias."""
    axes = (0, 1, 2)
    x = (x - jnp.mean(x, axes)[None, None, None]) * jax.lax.rsqrt(
        jnp.var(x, axes) + 1e-5
    )[None, None, None]
    gain, bias = (w[n][labels][:, None, None] for n in ("gain", "bias"))
    return gain * x + bias


def block_weights(key: Array, inputs: int, outputs: int, classes: int) -> Any:
    """Draw a residual block; with ``classes`` of a generator, else of a critic."""
    one, two, three = jax.random.split(key, 3)
    block: dict[str, Any] = {
        "first": conv_layer(one, inputs, outputs),
        "second": conv_layer(two, outputs, outputs),
        "shortcut": conv_layer(three, inputs, outputs, width=1),
    }
    if classes:
        block["first norm"] = class_norm_weights(inputs, classes)
        block["second norm"] = class_norm_weights(outputs, classes)
    return block


def grow(w: Any, x: Maps, labels: Int[Array, " batch"]) -> Maps:
    """Apply a block of a generator, which doubles the side."""
    y = jax.nn.relu(class_norm(w["first norm"], x, labels))
    y = conv(normalised(w["first"]), double(y))
    y = jax.nn.relu(class_norm(w["second norm"], y, labels))
    y = conv(normalised(w["second"]), y)
    return y + conv(normalised(w["shortcut"]), double(x))


def shrink(w: Any, x: Maps, half: bool) -> Maps:
    """Apply a block of a critic, which may halve the side."""
    y = conv(normalised(w["first"]), jax.nn.relu(x))
    y = conv(normalised(w["second"]), jax.nn.relu(y))
    x = conv(normalised(w["shortcut"]), x)
    return halve(x + y) if half else x + y


def generator_weights(key: Array, noise: int, channels: int, classes: int) -> Any:
    """Draw a generator of 32 × 32 pixels: dense to 4 × 4, and three blocks."""
    keys = jax.random.split(key, 5)
    return {
        "dense": dense_layers(keys[0], (noise, 16 * channels))[0],
        "blocks": [block_weights(k, channels, channels, classes) for k in keys[1:4]],
        "norm": class_norm_weights(channels, 1),
        "last": conv_layer(keys[4], channels, 3),
    }


def generate(
    w: Any, noise: Float[Array, "batch noise"], labels: Int[Array, " batch"]
) -> Maps:
    """Make images of noise and classes."""
    dense = normalised(w["dense"])
    x = (noise @ dense["w"] + dense["b"][None]).reshape(len(noise), 4, 4, -1)
    for block in w["blocks"]:
        x = grow(block, x, labels)
    x = jax.nn.relu(class_norm(w["norm"], x, jnp.zeros_like(labels)))
    return jnp.tanh(conv(normalised(w["last"]), x))


def critic_weights(key: Array, channels: int, classes: int) -> Any:
    """Draw a critic: four blocks, of which two halve the side, and a projection."""
    keys = jax.random.split(key, 6)
    inputs = (3, channels, channels, channels)
    blocks = zip(keys[:4], inputs, strict=True)
    return {
        "blocks": [block_weights(k, n, channels, 0) for k, n in blocks],
        "dense": dense_layers(keys[4], (channels, 1))[0],
        "classes": {"w": jax.random.normal(keys[5], (classes, channels))},
    }


def criticise(
    w: Any, images: Maps, labels: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    """Compute the logit that an image is a real one of its class."""
    x = images
    for i, block in enumerate(w["blocks"]):
        x = shrink(block, x, half=i < 2)
    h = jnp.sum(jax.nn.relu(x), axis=(1, 2))
    dense, classes = normalised(w["dense"]), normalised(w["classes"])
    return (h @ dense["w"])[:, 0] + dense["b"] + jnp.sum(classes["w"][labels] * h, 1)
