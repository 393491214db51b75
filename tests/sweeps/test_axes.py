"""Axes on the command line, and ranges: values are read as their fields have them."""

from __future__ import annotations

import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.sweeps.axes import Range, parse_axes


@pytest.mark.parametrize(
    "words, line",
    [
        (["sigma"], "expected FIELD=VALUE"),
        (["=1"], "expected FIELD=VALUE"),
        (["sigma=1", "sigma=2"], "given twice"),
        (["sigma=1,,2"], "nothing between two commas"),
        (["sigma=1,"], "nothing between two commas"),
    ],
)
def test_a_text_that_is_no_axis_is_refused(words, line):
    with pytest.raises(hs.RequestError, match=line):
        parse_axes(toy_tasks.Walk, words)


@pytest.mark.parametrize("word", ["1..2..3", "1-2..3", "1..", "nan..1", "1e..2"])
def test_a_range_without_numbers_is_a_text_that_no_number_field_takes(word, tmp_path):
    axes = parse_axes(toy_tasks.Walk, [f"sigma={word}"])
    with pytest.raises(hs.RequestError, match="expected a float"):
        hs.sweep(toy_tasks.Walk(), over=axes, store=tmp_path / "s")


def test_values_are_parsed_by_the_type_of_their_field():
    from heliostat_tasks.vmc import VMC

    assert parse_axes(toy_tasks.Walk, ["sigma=0.1,1e-3", "seed=0,1"]) == {
        "sigma": [0.1, 1e-3],
        "seed": [0, 1],
    }
    assert parse_axes(VMC, ["molecule=NO,Li"]) == {"molecule": ["NO", "Li"]}
    assert parse_axes(toy_tasks.Walk, ["sigma=1e-4..1:log"]) == {
        "sigma": Range(1e-4, 1, True)
    }


def test_a_range_is_even_in_its_scale():
    """Each of 4 integers gets a quarter, each of 3 decades a third."""
    shares = (np.arange(1200) + 0.5) / 1200
    whole = [hs.Range(2, 5).at(u, whole=True) for u in shares]
    assert np.bincount(whole).tolist() == [0, 0, 300, 300, 300, 300]
    decades = [hs.Range(0.01, 10, log=True).at(u, whole=False) for u in shares]
    counts, _ = np.histogram(decades, [0.01, 0.1, 1, 10])
    assert counts.tolist() == [400, 400, 400]
