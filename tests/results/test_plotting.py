"""Plots of runs: the drawn values, the warm-up, the refused requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from support import toy_tasks
from support.full_disk import files_up_to

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.results import figures, plotting


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return walks(tmp_path_factory.mktemp("runs"))


def walks(store, **fields) -> hs.Run:
    return hs.run(toy_tasks.Walk(**fields), on="here", store=store, progress=silent)


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


@pytest.fixture
def drawn(monkeypatch):
    """Axes of a figure without pyplot, so that tests open no window."""
    bare = plotting.new_axes
    monkeypatch.setattr(plotting, "new_axes", lambda output: bare("a file"))
    return hs.plot


def legend(axes) -> list[str]:
    """Labels of the legend, which is outside the axes."""
    assert axes.get_legend() is None
    return [text.get_text() for each in axes.figure.legends for text in each.texts]


@pytest.mark.parametrize("kind", plotting.KINDS)
def test_every_kind_writes_a_picture(five, tmp_path, kind):
    path = hs.plot(five, "x", tmp_path / f"{kind}.svg", kind=kind)
    assert path == tmp_path / f"{kind}.svg" and "<svg" in path.read_text()


def test_a_picture_is_complete_or_absent(five, tmp_path):
    with files_up_to(100), pytest.raises(hs.RequestError, match="File too large"):
        hs.plot(five, "x", tmp_path / "x.png")
    with pytest.raises(hs.RequestError, match="Format 'xls' is not supported"):
        hs.plot(five, "x", tmp_path / "x.xls")
    assert not [*tmp_path.iterdir()]


def test_trace_is_the_default_and_draws_all_steps(five, drawn):
    axes = drawn(five)
    assert axes.get_xlabel() == "draw" and axes.get_ylabel() == "position (bohr)"
    lines = [line for line in axes.lines if len(line.get_xdata()) == 40]
    assert len(lines) == 5
    assert legend(axes) == [f"this run: {five.headline['x']}"]


def test_rank_has_a_row_for_each_chain(five, drawn):
    axes = drawn(five, "x", kind="rank")
    assert axes.get_title().endswith(f"{five.id}: 20 draws (21–40) of 5 chains")
    assert [label.get_text() for label in axes.get_yticklabels()] == list("01234")
    assert axes.get_ylabel() == "chain"
    assert axes.get_xlabel() == "fractional rank among all chains"
    assert legend(axes)[0] == "uniform"


def test_rank_of_many_chains_names_the_farthest(tmp_path, drawn):
    axes = drawn(walks(tmp_path, chains=30), kind="rank")
    labels = legend(axes)
    assert "90 % of 30" in labels and "uniform" in labels
    assert sum(label.startswith("chain ") for label in labels) == 3


def test_energy_draws_the_marginal_with_the_estimate(five, drawn):
    axes = drawn(five, "x", kind="energy")
    assert axes.get_xlabel() == "position (bohr)" and axes.get_ylabel() == "density"
    assert legend(axes) == ["all 5 chains", f"this run: {five.headline['x']}"]
    assert any(
        list(line.get_xdata()) == [five.headline["x"].value] * 2 for line in axes.lines
    )
    assert drawn(five, "n", kind="energy").get_ylabel() == "probability"


def test_energy_of_one_chain(tmp_path, drawn):
    axes = drawn(walks(tmp_path, chains=1), kind="energy")
    assert axes.get_title().endswith("20 draws (21–40)")
    assert legend(axes)[0] == "all draws"


@dataclass(frozen=True)
class Known(toy_tasks.Walk):
    """A walk that knows two lengths, one of them of x alone."""

    emits = {
        "x": hs.Var(units="bohr", known=("near",)),
        "twice": hs.Var(units="bohr"),
    }
    observes = {}

    def step(self, key, state, data):
        state, _ = super().step(key, state, data)
        return state, {"x": state.x, "twice": 2 * state.x}

    def headline(self, rows):
        source = {"units": "bohr", "source": "elsewhere"}
        return {"near": hs.Estimate(1.0, **source), "wall": hs.Estimate(2.0, **source)}


def test_what_is_known_of_one_variable_is_drawn_with_it_alone(tmp_path, drawn):
    run = hs.run(Known(), on="here", store=tmp_path, progress=silent)
    assert legend(drawn(run, "x")) == ["near: elsewhere", "wall: elsewhere"]
    assert legend(drawn(run, "twice")) == ["wall: elsewhere"]


@dataclass(frozen=True)
class Warm(toy_tasks.Walk):
    """A walk with a warm-up of its own."""

    warmup: int = 3  # steps


@pytest.mark.parametrize(
    ("warmup", "left"), [(0, 20), (3, 20), (30, 10), (40, 0), (99, 0)]
)
def test_settled_leaves_at_most_half(five, warmup, left):
    rows = plotting.after_warmup(five.rows, Warm(warmup=warmup))
    assert rows.sizes["draw"] == left
    assert rows.draw.values.tolist() == list(range(41 - left, 41))


def test_all_warm_up_is_nothing_to_draw(tmp_path):
    run = hs.run(Warm(warmup=40), on="here", store=tmp_path, progress=silent)
    for kind in ("rank", "energy"):
        with pytest.raises(hs.RequestError, match=r"all 40 draws of .* are warm-up"):
            hs.plot(run, kind=kind, output=tmp_path / "no.png")


def test_unknown_kinds_are_named(five):
    with pytest.raises(hs.RequestError, match=r"kind 'ranks': .*did you mean 'rank'\?"):
        hs.plot(five, kind="ranks")


def test_ranks_refuse_what_they_cannot_compare(five, tmp_path):
    with pytest.raises(hs.RequestError, match=r"ranks compare chains, and .* has one"):
        hs.plot(walks(tmp_path, chains=1), kind="rank")
    with pytest.raises(hs.RequestError, match="'n' has an axis 'd'"):
        hs.plot(five, "n", kind="rank")


@pytest.mark.parametrize("kind", plotting.KINDS)
def test_text_is_refused(tmp_path, kind):
    run = hs.run(toy_tasks.Talk(), on="here", store=tmp_path, progress=silent)
    with pytest.raises(hs.RequestError, match="'word' is text"):
        hs.plot(run, "word", kind=kind)


def test_a_named_axis_of_one_chain_is_one_chain():
    """Some tasks keep their replica axis also with one replica."""
    data = xr.DataArray(np.zeros((1, 4)), dims=("chain", "draw"), name="x")
    with pytest.raises(hs.RequestError, match="has one"):
        plotting._check_rankable(SimpleNamespace(task=toy_tasks.Walk(), id="1"), data)


def test_ranks_are_each_taken_once_and_ties_are_spread():
    x = np.random.default_rng(0).integers(0, 2, (4, 500)).astype(float)
    shares = figures._fractional_ranks(x)
    assert np.array_equal(np.sort(shares.ravel()), (np.arange(2000) + 0.5) / 2000)
    assert shares[x == 0].max() < shares[x == 1].min()
    # σ of a mean of 500 uniform numbers is 0.013: 5 σ
    assert np.abs(shares.mean(axis=1) - 0.5).max() < 0.065


def test_differences_are_of_distribution_functions():
    shares = figures._fractional_ranks(np.random.default_rng(1).normal(size=(10, 40)))
    grid, lines = figures._distribution(shares)
    for line, share in zip(lines, shares, strict=True):
        expected = [np.mean(share < g) - g for g in grid]
        np.testing.assert_allclose(line, expected, atol=1e-12)
    np.testing.assert_allclose(lines.mean(axis=0), 0, atol=1 / 400)


def test_chains_that_disagree_do_not_widen_their_band():
    """The size is each chain's own: apart or together, it is the same."""
    x = np.random.default_rng(2).normal(size=(4, 200))
    apart = x + 5 * np.arange(4)[:, None]
    assert figures._own_size(apart) == pytest.approx(figures._own_size(x), rel=1e-9)
    assert 100 < figures._own_size(x) <= 200
    assert math.isnan(figures._own_size(np.ones((4, 200))))


@pytest.mark.parametrize("chains", [1, 4, 30])
@pytest.mark.parametrize("value", [0.0, 0.3, math.nan])
def test_constants_and_gaps_are_drawn(axes, chains, value):
    x = np.full((chains, 10), value)
    figures.marginal(axes, x, "chain")
    if math.isfinite(value) and chains > 1:
        figures.rank(axes, x, range(chains), "chain")


@pytest.mark.parametrize("x", [np.arange(50) % 7 - 3.0, np.linspace(0, 1, 50) ** 3])
def test_densities_are_normalised(x):
    edges = figures._edges(x)
    assert np.sum(figures._density(x, edges) * np.diff(edges)) == pytest.approx(1)
