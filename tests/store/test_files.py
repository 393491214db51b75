"""Files that are read again only when they have changed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import heliostat as hs
from heliostat.store.files import JsonFile, Markers


def test_a_json_file_is_read_again_when_it_was_replaced(tmp_path):
    path = tmp_path / "a.json"
    file = JsonFile(path)
    for content in ({"a": 1}, {"a": 2}):
        (tmp_path / "new").write_text(json.dumps(content))
        (tmp_path / "new").replace(path)
        assert file.read() == content and file.read() is file.read()


def test_commit_markers_are_those_that_zarr_reads(walk, tmp_path):
    """Also while zarr writes them, and where a file is missing."""
    own = Markers(walk.path / "record.zarr").read()
    root = zarr.open_group(walk.path / "record.zarr", mode="r")
    np.testing.assert_array_equal(own, root["committed"][:])
    for shape, chunks in (((5,), (1,)), ((7, 3), (7, 1))):
        store = tmp_path / str(len(shape))
        array = zarr.create_group(store).create_array(
            "committed",
            shape=shape,
            chunks=chunks,
            dtype="int64",
            fill_value=-1,
            compressors=root["committed"].compressors,
        )
        markers = Markers(store)
        np.testing.assert_array_equal(markers.read(), np.full(shape, -1))
        array[..., 1] = 40
        np.testing.assert_array_equal(markers.read(), array[:])


def test_a_damaged_marker_is_one_line(copied, tmp_path):
    run = copied(tmp_path)
    file = run.path / "record.zarr" / "committed" / "c" / "0"
    content = bytearray(file.read_bytes())
    content[-6] ^= 1
    file.write_bytes(content)
    with pytest.raises(hs.StoreError, match=r"committed is damaged \(the checksum"):
        hs.extend(run, steps=60, on="here")
