"""Generators of images: files of CIFAR-10, networks, and scores with known values."""

from __future__ import annotations

import io
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heliostat as hs
from heliostat_tasks.games import Games
from heliostat_tasks.games.problems.cifar import RECORD, read_images
from heliostat_tasks.games.problems.images import SAMPLES
from heliostat_tasks.games.problems.residual import normalised
from heliostat_tasks.games.problems.scores import (
    as_pixels,
    fit_classifier,
    frechet_distance,
    scores,
)

COLOURS = 255 * np.array([*np.ndindex(2, 2, 2), (0.5, 0.5, 0.5), (1, 0.5, 0)])
"""Red, green and blue of each class of the stand-in."""


def stand_in(count, noise=10.0, seed=0):
    """Bytes in the format of CIFAR-10: each class has one colour, with noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    planes = COLOURS[labels][:, :, None] + rng.normal(0, noise, (count, 3, 1024))
    pixels = np.clip(planes, 0, 255).astype(np.uint8).reshape(count, -1)
    return np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes(), labels


@pytest.fixture
def batch(tmp_path):
    content, labels = stand_in(300)
    file = tmp_path / "data_batch_1.bin"
    file.write_bytes(content)
    return hs.File(str(file)), labels


def test_a_file_has_its_images_and_classes(batch):
    images, labels = read_images(batch[0])
    assert images.shape == (300, 32, 32, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(labels, batch[1])
    mean = images.reshape(300, -1, 3).mean(axis=1)
    expected = COLOURS[labels]
    inside = (expected > 30) & (expected < 225)
    assert np.abs(mean - expected)[inside].max() < 3


def test_an_archive_has_its_training_batches_in_order(tmp_path):
    parts = {
        f"cifar-10-batches-bin/data_batch_{i}.bin": stand_in(3, seed=i)[0]
        for i in (2, 1)
    }
    parts["cifar-10-batches-bin/test_batch.bin"] = stand_in(5)[0]
    file = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for name, content in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    labels = read_images(hs.File(str(file)))[1]
    expected = [stand_in(3, seed=i)[1] for i in (1, 2)]
    np.testing.assert_array_equal(labels, np.concatenate(expected))


BAD = [
    (b"", "x.bin has 0 bytes of images: expected a multiple of 3073"),
    (bytes(RECORD + 1), f"x.bin has {RECORD + 1} bytes of images"),
    (bytes([10]) + bytes(RECORD - 1), "x.bin has class 10: expected 0 to 9"),
]


@pytest.mark.parametrize(("content", "line"), BAD, ids=["empty", "cut", "class"])
def test_another_file_is_refused_in_one_line(tmp_path, content, line):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(hs.RequestError) as e:
        read_images(hs.File(str(tmp_path / "x.bin")))
    assert line in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["x.tar.gz", "none.bin"])
def test_what_is_no_archive_is_refused(tmp_path, name):
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(hs.RequestError, match=name):
        read_images(hs.File(str(tmp_path / name)))


def test_a_run_without_files_says_which_are_needed(tmp_path):
    with pytest.raises(hs.RequestError, match="binary version"):
        hs.run(Games(problem="cifar"), on="here", store=tmp_path, progress=False)


@pytest.mark.slow
def test_networks_of_residual_blocks_play(batch, tmp_path):
    """Losses and scores are finite, and every layer has a derivative."""
    task = Games(problem="cifar", size=4, batch=8, data=batch[0])
    run = hs.run(task, steps=50, on="here", store=tmp_path, progress=False)
    assert all(np.isfinite(e.value) for e in run.headline.values())
    start = task.problem_instance.start(jax.random.key(0), task.prepare())
    end = run.state(-1).position.game.players
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), start, end)
    assert all(jax.tree.leaves(moved))


def test_weights_are_divided_by_their_largest_singular_value(x64):
    w = np.random.default_rng(0).normal(size=(3, 3, 5, 7))
    layer = normalised({"w": jnp.asarray(w), "b": jnp.zeros(7)})
    singular = np.linalg.svd(np.asarray(layer["w"]).reshape(-1, 7), compute_uv=False)
    assert singular[0] == pytest.approx(1, abs=1e-6)


@pytest.fixture(scope="module")
def classes():
    """A classifier of the stand-in, with its images."""
    content, labels = stand_in(SAMPLES)
    planes = np.frombuffer(content, np.uint8).reshape(-1, RECORD)[:, 1:]
    images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)[:, ::4, ::4]
    return fit_classifier(np.ascontiguousarray(images), labels, seed=0, epochs=400)


def test_real_images_score_as_the_best_do(classes):
    """Ten classes that are told apart for sure: a score of ten, nearly, as classes
    are not quite equally frequent; and no distance from themselves."""
    found = scores(as_pixels(jnp.asarray(classes.images)), classes)
    share = np.bincount(classes.labels, minlength=10) / len(classes.labels)
    entropy = -np.sum(share * np.log(share))
    assert float(found["score"]) == pytest.approx(np.exp(entropy), rel=0.05)
    assert abs(float(found["frechet"])) < 1e-2 * float(np.trace(classes.covariance))
    assert float(found["modes"]) == 10


def test_one_image_again_and_again_scores_as_the_worst(classes):
    one = jnp.repeat(as_pixels(jnp.asarray(classes.images[:1])), 64, axis=0)
    found = scores(one, classes)
    assert float(found["score"]) == pytest.approx(1, abs=1e-4)
    assert float(found["modes"]) == 1 and float(found["frechet"]) > 1


def test_frechet_distance_of_diagonal_covariances(x64):
    """Σ (μ_1 − μ_2)² + (σ_1 − σ_2)²."""
    rng = np.random.default_rng(0)
    means, widths = rng.normal(size=(2, 5)), rng.uniform(0.1, 2, (2, 5))
    pairs = [
        (jnp.asarray(m), jnp.diag(jnp.asarray(w**2)))
        for m, w in zip(means, widths, strict=True)
    ]
    expected = np.sum((means[0] - means[1]) ** 2 + (widths[0] - widths[1]) ** 2)
    found = frechet_distance(*pairs[0], *pairs[1])
    assert float(found) == pytest.approx(expected, rel=1e-10)
