"""Files of states, regular and hostile; and fields that make no sense."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

import heliostat as hs
from heliostat_tasks.learn import Learn
from heliostat_tasks.learn.loaders import load, split

BITS = np.random.default_rng(0).integers(0, 2, (10, 9)).astype(np.uint8)


def saved(path, content):
    """Write a file in the format of its ending."""
    from scipy.io import savemat

    if path.suffix == ".npy":
        np.save(path, content)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".mat":
        savemat(path, content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savetxt(path, content, fmt="%d")
    return hs.File(str(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", BITS),
        ("a.npy", BITS.astype(bool)),
        ("a.npy", BITS * 0.8 + 0.1),
        ("a.npy", 2.0 * BITS - 1),
        ("a.npy", BITS.reshape(10, 3, 3)),
        ("a.npz", {"anything": BITS}),
        ("a.amat", BITS),
        ("a.txt", "\n".join(",".join(map(str, row)) for row in BITS).encode()),
        ("a.mat", {"anything": BITS}),
    ],
)
def test_every_file_format_gives_the_same_states(tmp_path, name, content):
    train, test = load(saved(tmp_path / name, content))
    np.testing.assert_array_equal(train, BITS)
    assert test is None and train.dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npz", {"train": BITS[:8], "test": BITS[8:]}),
        ("a.mat", {"train_data": BITS[:8], "test_data": BITS[8:], "val_data": BITS}),
        ("a.mat", {"data": 1.0 * BITS[:8].T, "testdata": 1.0 * BITS[8:].T}),
    ],
)
def test_archives_may_hold_a_test_set(tmp_path, name, content):
    train, test = load(saved(tmp_path / name, content))
    np.testing.assert_array_equal(np.concatenate([train, test]), BITS)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def npy_of_objects():
    stream = io.BytesIO()
    np.save(stream, np.array([[Bomb()]], object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pkl", pickle.dumps(Bomb()), "expected one of .npy"),
        ("a.npy", pickle.dumps(Bomb()), "no array of states"),
        ("b.npy", npy_of_objects(), "Object arrays cannot be loaded"),
        ("a.npz", b"PK\x03\x04 but no archive", "no array of states"),
        ("a.mat", b"MATLAB 7.3 is HDF5" + bytes(200), "no array of states"),
        ("a.mat", b"", "no array of states"),
        ("a.amat", b"", "no array of states"),
        ("a.amat", b"0 1 0\n1 0\n", "no array of states"),
        ("a.amat", b"0 1 hello\n", "no array of states"),
        ("a.amat", bytes(range(256)), "no array of states"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(hs.RequestError, match=says) as caught:
        load(hs.File(str(path)))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (np.arange(12.0).reshape(3, 4), "values from 0 to 11"),
        (np.array([[0, np.nan]]), "NaN or infinity"),
        (np.array(["a"]), "expected numbers with a row per state"),
        (np.zeros(7), "a row per state"),
        (np.zeros((0, 4)), "a row per state"),
    ],
)
def test_arrays_that_are_no_bits_are_refused(tmp_path, content, says):
    with pytest.raises(hs.RequestError, match=says):
        load(saved(tmp_path / "a.npy", content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(hs.RequestError, match="cannot be read: No such file"):
        load(hs.File(str(tmp_path / "none.npy")))


def test_potts_values_out_of_range_are_named(tmp_path):
    file = saved(tmp_path / "a.npy", np.array([[0, 1, 2], [1, 3, 0]]))
    with pytest.raises(hs.RequestError, match=r"value 3: expected whole numbers .* 2"):
        Learn(model="potts", data=file).prepare()
    assert Learn(model="potts", q=4, data=file).values == 4


def test_a_fifth_is_held_out_unless_a_test_file_is_given(tmp_path):
    train, test = split(BITS)
    np.testing.assert_array_equal(test, BITS[[4, 9]])
    file, other = (
        saved(tmp_path / n, BITS[k:]) for n, k in (("a.npy", 0), ("b.npy", 7))
    )
    states = Learn(data=file, test=other).states
    assert len(states.train) == 10 and len(states.test) == 3
    assert len(Learn(data=file).states.train) == len(train)


def test_test_states_of_another_size_are_refused(tmp_path):
    file = saved(tmp_path / "a.npy", BITS)
    other = saved(tmp_path / "b.npy", BITS[:, :4])
    with pytest.raises(hs.RequestError, match="9 sites, the test set 4"):
        Learn(data=file, test=other).prepare()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"batch": 512, "buffer": 256}, "batch 512 is drawn from a buffer of 256"),
        ({"batch": 100, "buffer": 256}, "buffer 256: expected a multiple of batch"),
        ({"l1": -0.1}, "l1 -0.1: expected 0 or more"),
        ({"lr": 0.0}, "lr 0.0: expected more than 0"),
        ({"ema": 1.0}, "ema 1.0: expected 0 to less than 1"),
        ({"size": 2}, "size 2: expected 3 or more"),
        ({"q": 2}, "q 2: expected 3 or more"),
        ({"temperatures": 10, "evaluate": 3}, "expected a multiple of evaluate, 3"),
        ({"particles": 4096}, "particles 4096: expected at most 256"),
        ({"test": hs.File("x.npy")}, "give data too"),
        ({"features": 8}, "features 8: nothing reads it here, it is for model ebm"),
        ({"longest": 4}, "it is for sampler path"),
        ({"model": "ebm", "l1": 0.1}, "it is for couplings, model ising or potts"),
    ],
)
def test_fields_that_make_no_sense_are_refused_in_one_line(fields, says):
    with pytest.raises(ValueError, match=says) as caught:
        Learn(**fields)
    assert "\n" not in str(caught.value)
