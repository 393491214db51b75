"""Differences of stored values."""

import numpy as np

from heliostat.loop.state import relative_difference


def test_a_missing_value_is_equal_to_a_missing_one_only():
    """Rows may lack a value in some phases; one that only one replay lacks is a gap."""
    missing, there = np.array([np.nan, 2.0]), np.array([1.0, 2.0])
    assert relative_difference(missing, missing) == 0
    assert relative_difference(missing, there) == np.inf
    assert relative_difference(there, missing) == np.inf
    assert relative_difference(there + 0.5, there) == 0.25


def test_texts_are_equal_or_infinitely_far():
    words = np.array(["a", "b"])
    assert relative_difference(words, words) == 0
    assert relative_difference(words[::-1], words) == np.inf
