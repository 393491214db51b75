"""Scores of generated images, by a classifier that was fitted to real ones.

    score    = exp E KL(p(y|x) ‖ p(y)),    1 to 10
    frechet  = |μ_1 − μ_2|² + tr(C_1 + C_2 − 2 (C_1 C_2)^½)
    modes    = classes with at least 1/50 of the generated images

μ and C are of the classifier's features.  The classifier is a small one of our own:
scores compare runs with each other, not with published values of Inception's.

References: Salimans et al., arXiv:1606.03498 (score); Heusel et al., arXiv:1706.08500,
eq. 6 (Fréchet distance).
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int, UInt8

import heliostat as hs
from heliostat_tasks.games.problems.networks import Layers

CLASSES = 10

EVALUATES = {
    "score": hs.Var(about="exp of the mutual information of images and classes"),
    "frechet": hs.Var(about="Fréchet distance of features from those of real images"),
    "modes": hs.Var(about="classes with at least 1/50 of the generated images"),
}
"""Variables of :func:`scores`."""


class ImageData(NamedTuple):
    """Real images with their classes, and the classifier that scores generated ones."""

    images: UInt8[np.ndarray, "count side side channels"]  # 0 to 255
    labels: Int[np.ndarray, " count"]
    classifier: Layers  # pixels to 64 features to classes
    mean: Float[np.ndarray, " features"]  # of the features of real images
    covariance: Float[np.ndarray, "features features"]


def as_pixels(images: UInt8[Array, "..."]) -> Float[Array, "..."]:
    """Convert bytes to numbers from −1 to 1."""
    return jnp.asarray(images, float) / 127.5 - 1


def fit_classifier(
    images: UInt8[np.ndarray, "count side side channels"],
    labels: Int[np.ndarray, " count"],
    seed: int,
    epochs: int,
) -> ImageData:
    """Fit a classifier of one hidden layer, and compute the features of real images.

    Args:
        images: real ones.
        labels: their classes.
        seed: of the classifier.
        epochs: largest number of passes over the images.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    x = images.reshape(len(images), -1) / np.float32(127.5) - 1
    model = MLPClassifier((64,), alpha=0.01, max_iter=epochs, random_state=seed)
    with warnings.catch_warnings():  # the epochs that are given are enough
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels)
    classifier = [
        {"w": np.asarray(w), "b": np.asarray(b)}
        for w, b in zip(model.coefs_, model.intercepts_, strict=True)
    ]
    features = np.maximum(x @ classifier[0]["w"] + classifier[0]["b"], 0)
    mean, covariance = features.mean(axis=0), np.cov(features.T)
    return ImageData(images, labels, classifier, mean, covariance)


def scores(
    images: Float[Array, "batch side side channels"], data: ImageData
) -> dict[str, Array]:
    """Compare generated images with real ones.

    Args:
        images: generated ones.
        data: real ones, with the classifier.

    Returns:
        The variables of ``evaluates``.
    """
    features, logits = classify(data.classifier, images)
    share = jax.nn.softmax(logits)
    overall = jnp.mean(share, axis=0)
    relative = jax.scipy.special.rel_entr(share, overall[None]).sum(axis=1)
    votes = jnp.mean(jax.nn.one_hot(jnp.argmax(logits, axis=1), CLASSES), axis=0)
    mean, covariance = jnp.mean(features, axis=0), jnp.cov(features.T)
    return {
        "score": jnp.exp(jnp.mean(relative)),
        "frechet": frechet_distance(
            mean,
            covariance,
            jnp.asarray(data.mean, mean.dtype),
            jnp.asarray(data.covariance, mean.dtype),
        ),
        "modes": jnp.sum(votes >= 1 / (5 * CLASSES)).astype(mean.dtype),
    }


def classify(
    classifier: Layers, images: Float[Array, "batch side side channels"]
) -> tuple[Float[Array, "batch features"], Float[Array, "batch classes"]]:
    """Return features, which are the hidden units, and logits."""
    x = images.reshape(len(images), -1)
    first, last = (
        {n: jnp.asarray(a, x.dtype) for n, a in layer.items()} for layer in classifier
    )
    features = jax.nn.relu(x @ first["w"] + first["b"][None])
    return features, features @ last["w"] + last["b"][None]


def frechet_distance(
    mean: Float[Array, " n"],
    covariance: Float[Array, "n n"],
    other_mean: Float[Array, " n"],
    other_covariance: Float[Array, "n n"],
) -> Float[Array, ""]:
    """Compute the squared Fréchet distance of two normal distributions.

        |μ_1 − μ_2|² + tr(C_1 + C_2 − 2 (C_1^½ C_2 C_1^½)^½)

    Example:
        >>> zero, one = jnp.zeros(2), jnp.eye(2)
        >>> float(frechet_distance(zero, one, zero + 1, 4 * one))
        4.0
    """
    values, vectors = jnp.linalg.eigh(covariance)
    root = (vectors * jnp.sqrt(jnp.maximum(values, 0))[None]) @ vectors.T
    product = jnp.linalg.eigvalsh(root @ other_covariance @ root)
    shared = jnp.sum(jnp.sqrt(jnp.maximum(product, 0)))
    spread = jnp.trace(covariance) + jnp.trace(other_covariance) - 2 * shared
    return jnp.sum((mean - other_mean) ** 2) + spread
