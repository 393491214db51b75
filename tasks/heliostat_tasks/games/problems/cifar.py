"""A generator of photographs of ten classes, 32 × 32 pixels: CIFAR-10 by path.

Reference: Krizhevsky, "Learning multiple layers of features from tiny images",
University of Toronto (2009).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int, UInt8

import heliostat as hs
from heliostat.kernels.games.directions import Players
from heliostat_tasks.games.problems import residual
from heliostat_tasks.games.problems.images import Images
from heliostat_tasks.games.problems.problem import GameDefaults
from heliostat_tasks.games.problems.scores import CLASSES, ImageData, fit_classifier

SIDE = 32
RECORD = 1 + 3 * SIDE**2
"""Bytes of an image: its class, and the planes of red, green and blue, row by row."""

LARGEST = 10**9
"""Bytes of a file that are read at most."""


@dataclass(frozen=True)
class CifarGame(Images):
    """Residual networks with ``size`` channels, in the manner of BigGAN."""

    defaults = GameDefaults(0.0002, 0.8, np.pi / 8, 100_000, size=64, method="adam")
    uses = ("size", "penalty", "batch", "game_seed", "data")
    noise = 128

    def data(self) -> ImageData:
        if self.fields.file is None:
            raise hs.RequestError(
                "problem cifar: expected CIFAR-10's binary version, --data "
                "cifar-10-binary.tar.gz"
            )
        images, labels = read_images(self.fields.file)
        return fit_classifier(images, labels, self.fields.seed, 20)

    def start(self, key: Array, data: ImageData) -> Players:
        one, two = jax.random.split(key)
        c = self.fields.size
        generator = residual.generator_weights(one, self.noise, c, CLASSES)
        return generator, residual.critic_weights(two, c, CLASSES)

    def generate(self, w: Any, noise: Array, labels: Array) -> Array:
        return residual.generate(w, noise, labels)

    def discriminate(self, w: Any, images: Array, labels: Array) -> Array:
        return residual.criticise(w, images, labels)

    def adversarial(self, real: Array, fake: Array) -> tuple[Array, Array]:
        """Return hinge losses.

            ℓ_G = −E D(fake),    ℓ_D = E max(0, 1 − D(real)) + E max(0, 1 + D(fake))

        Reference: arXiv:1802.05957, eq. 16-17.
        """
        critic = jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake))
        return -jnp.mean(fake), critic


def read_images(
    file: hs.File,
) -> tuple[UInt8[np.ndarray, "count 32 32 3"], Int[np.ndarray, " count"]]:
    """Read images and their classes from CIFAR-10's binary version.

    Args:
        file: the archive, of which the training batches are read, or one ``.bin``.

    Raises:
        heliostat.RequestError: for a file of another kind.

    Example:
        >>> red = bytes([3]) + bytes([255]) * 1024 + bytes(2048)
        >>> _ = Path("red.bin").write_bytes(2 * red)
        >>> images, labels = read_images(hs.File("red.bin"))
        >>> images.shape, images[0, 0, 0].tolist(), labels.tolist()
        ((2, 32, 32, 3), [255, 0, 0], [3, 3])
    """
    try:
        content = b"".join(_batches(file.path))
    except OSError as error:
        raise hs.RequestError(
            f"{file} cannot be read: {error.strerror or error}"
        ) from error
    except (tarfile.TarError, EOFError) as error:
        raise hs.RequestError(f"{file} is no archive: {error}") from error
    if not content or len(content) % RECORD:
        raise hs.RequestError(
            f"{file} has {len(content)} bytes of images: expected a multiple of "
            f"{RECORD}, as in CIFAR-10's binary version"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int32)
    if labels.max() >= CLASSES:
        raise hs.RequestError(f"{file} has class {labels.max()}: expected 0 to 9")
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _batches(path: Path) -> Iterator[bytes]:
    """Yield the training batches of an archive in their order, or one file."""
    if path.suffix == ".bin":
        with path.open("rb") as file:
            yield file.read(LARGEST)
        return
    with tarfile.open(path) as archive:
        names = [m.name for m in archive if "data_batch" in m.name and m.isfile()]
        for name in sorted(names):
            member = archive.extractfile(name)
            yield member.read(LARGEST) if member else b""
