"""Plots of sweeps are legible: scales, orders and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from support import toy_tasks

import heliostat as hs

RULES = ("sgd", "adam", "lion")


@dataclass(frozen=True)
class Powers(toy_tasks.Stroll):
    """10^n, or infinity."""

    n: int = 0
    rule: Literal["sgd", "adam", "lion"] = "sgd"
    bad: bool = False

    def headline(self, rows):
        value = np.inf if self.bad else 10.0**self.n * (1 + RULES.index(self.rule))
        return {"e": hs.Estimate(value)}


def swept(store, over, **how):
    about = {"steps": 1, "store": store, "on": "here"}
    return hs.sweep(Powers(chains=1), over=over, **about, **how)


def test_colours_are_logarithmic_for_numbers_over_decades(tmp_path):
    over = {"n": [-2, 0, 2], "rule": ["sgd", "lion"]}
    axes = swept(tmp_path, over).plot(kind="map")
    assert isinstance(axes.images[0].norm, LogNorm)
    near = swept(tmp_path, over | {"n": [0, 1]}).plot(kind="map")
    assert not isinstance(near.images[0].norm, LogNorm)


@pytest.mark.parametrize("search", [{}, {"search": "random", "trials": 6}])
def test_texts_go_upwards_in_the_order_of_the_axis(tmp_path, search):
    """Each is beside its place, also for draws in another order."""
    listed = ["lion", "sgd", "adam"]
    over = {"n": [0, 1, 2], "rule": listed}
    axes = swept(tmp_path, over, **search).plot(kind="parallel")
    heights = {t.get_text(): t.xy[1] for t in axes.texts if t.get_text() in RULES}
    assert heights == {"lion": 0, "sgd": 0.5, "adam": 1}
    line = swept(tmp_path, {"rule": listed}).plot(kind="line")
    assert [t.get_text() for t in line.get_xticklabels()] == listed


def test_no_axis_crosses_the_texts_at_its_ends(tmp_path):
    axes = swept(tmp_path, {"n": [0, 1], "rule": ["sgd", "lion"]}).plot(kind="parallel")
    axes.figure.canvas.draw()
    upright = [line.get_window_extent() for line in axes.lines[-3:]]
    assert len(axes.texts) == 6 and all(box.width < 2 for box in upright)
    for text in axes.texts:
        assert not any(text.get_window_extent().overlaps(box) for box in upright)


def test_without_a_finite_number_there_is_no_plot(tmp_path):
    result = swept(tmp_path / "store", {"n": [0, 1], "bad": [True]})
    with pytest.raises(hs.RequestError, match="'e': no cell has found a finite number"):
        result.plot(output=tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
