"""Several assistants: in one dataset, compared in pairs, and in one plot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy, labels, plots, rates
from heliostat_tasks.sycophancy.compare import align_runs, compare_runs
from heliostat_tasks.sycophancy.estimates import wilson
from heliostat_tasks.sycophancy.probes import PROBES


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """``run(limit=8)``: a run of the scripted assistant, computed once."""
    store = tmp_path_factory.mktemp("store")

    def made(**fields) -> hs.Run:
        return hs.run(Sycophancy(**fields), store=store, on="here", progress=silent)

    return made


TWICE = {"probe": "answer", "limit": 24, "epochs": 2}


def published_file(path: Path, *questions: str) -> hs.File:
    """Write a file in the published format."""
    lines = [
        {
            "prompt": [{"type": "human", "content": question}],
            "base": {
                "question": question,
                "correct_answer": "a",
                "incorrect_answer": "b",
            },
        }
        for question in questions
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return hs.File(path)


def test_runs_of_other_numbers_and_orders_meet_item_by_item(run):
    few, more = run(limit=8), run(limit=32, epochs=2, planted="flip=0.9")
    both = align_runs(few, more)
    assert both.grade.dims == ("assistant", "item", "turn", "condition", "epoch")
    assert list(both.assistant.values) == ["scripted", "scripted, planted flip=0.9"]
    ids = [item.id for item in few.task.selected_items]
    theirs = [item.id for item in more.task.selected_items]
    common = [run_ for run_ in ids if run_ in theirs]
    assert list(both.item.values) == common and 0 < len(common) < 32
    for place, (run_, run_ids) in enumerate(((few, ids), (more, theirs))):
        rows = run_.rows.load()
        for item in common:
            mine = rows.grade.values[run_ids.index(item)][..., :1]
            assert (both.grade.sel(item=item).values[place] == mine).all()
    left = 32 - len(common)
    assert f"{left} of 32 items of {more.id}" in both.attrs["left_out"]
    assert f"1 of 2 epochs of {more.id}" in both.attrs["left_out"]


def test_a_planted_difference_is_found(run):
    """Within 1.7 half widths of 95 %: false alarms 1e-3 for each of the two rates."""
    calm = run(limit=64, planted="flip=0.2,apology=0.5")
    weak = run(limit=64, planted="flip=0.7,apology=0.5")
    comparison = compare_runs(calm, weak)
    assert comparison.items == 64 and comparison.left_out == []
    for name, planted in (("flip", 0.5), ("apology", 0.0)):
        difference = comparison.rates[name][2]
        assert abs(difference.value - planted) < 1.7 * difference.half_width


def test_a_difference_is_that_of_the_rates_and_turns_with_their_order(run):
    runs = run(**TWICE), run(**TWICE, planted="swayed=0.9")
    forward, backward = compare_runs(*runs), compare_runs(*runs[::-1])
    for name, (first, second, gap) in forward.rates.items():
        for measured, each in zip((first, second), runs, strict=True):
            assert measured == rates.measure_rates(each.task.design, each.rows)[name]
        assert gap.value == pytest.approx(second.value - first.value, abs=1e-12)
        mirrored = backward.rates[name][2]
        assert gap == pytest.approx((-mirrored.value, -mirrored.high, -mirrored.low))


@pytest.mark.slow
def test_paired_differences_are_narrower_than_independent_ones(run):
    """Both runs share the difficulty of items: whether the answer is known."""
    fields = {"probe": "answer", "limit": 64}
    better = run(**fields, planted="accuracy=0.8")
    first, second, gap = compare_runs(run(**fields), better).rates["accuracy"]
    assert 0 < gap.half_width < 0.7 * np.hypot(first.half_width, second.half_width)


def test_equal_grades_have_wilsons_bound_as_interval(run):
    fields = {"probe": "answer", "limit": 64}
    easy = run(**fields, planted="doubted=0.1")
    _, _, gap = compare_runs(run(**fields), easy).rates["accuracy"]
    edge = wilson(0, 32)[1] / np.sqrt(2)  # of two data sets, each half
    assert gap == pytest.approx((0.0, -edge, edge), abs=1e-12) and edge < 0.08


def test_what_cannot_be_compared_is_refused(run, tmp_path):
    answers = run(probe="answer", limit=8)
    with pytest.raises(
        hs.RequestError, match=r"of mimicry; expected runs of one probe"
    ):
        align_runs(answers, run(probe="mimicry", limit=4))
    other = run(
        probe="answer", items=published_file(tmp_path / "a.jsonl", "Who?", "Why?")
    )
    with pytest.raises(hs.RequestError, match="no item in common"):
        compare_runs(answers, other)


def test_an_assistant_is_named_by_what_is_its_own(run):
    plain, long = run(limit=8), run(limit=12)
    hasty = run(limit=12, planted="flip=0.5", epochs=2)
    assert (
        labels.assistant_names([plain, run(limit=8, probe="answer")])
        == ["scripted"] * 2
    )
    assert labels.assistant_names([plain, long]) == [
        "scripted, limit 8",
        "scripted, limit 12",
    ]
    assert labels.assistant_names([plain, hasty]) == [
        "scripted",
        "scripted, planted flip=0.5",
    ]


@pytest.mark.parametrize("name", PROBES)
def test_every_rate_has_a_label(name):
    measured = rates.rate_names(PROBES[name])
    assert {*labels.LABELS[name]} == {*measured} - {"failed", "unparsed"}


# -- pictures ------------------------------------------------------------------------


def test_a_picture_shows_every_rate_of_every_run(run, tmp_path):
    answers = run(**TWICE), run(**TWICE, planted="swayed=0.9")
    runs = [run(probe="mimicry", limit=4), *answers]
    figure = plots.draw_rates(runs, tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    shown = [x for ax in figure.axes for line in ax.lines for x in line.get_xdata()]
    for run_ in runs:
        for rate in rates.measure_rates(run_.task.design, run_.rows).values():
            assert np.isclose(shown, 100 * rate.value, atol=1e-9).any()
    units = {ax.get_xlabel() for ax in figure.axes}
    assert units == {"rate (%)", "difference (percentage points)"}
    shown_labels = {
        text.get_text() for ax in figure.axes for text in ax.get_yticklabels()
    }
    expected = {
        x.about for p in ("mimicry", "answer") for x in labels.LABELS[p].values()
    }
    assert shown_labels == expected


def test_assistant_names_are_not_typeset_as_mathematics(run, tmp_path, monkeypatch):
    names = [r"_$\frac{", "$x$ & <b>"]
    monkeypatch.setattr(labels, "assistant_names", lambda runs: names)
    runs = [run(limit=8), run(limit=12)]
    figure = plots.draw_rates(runs, tmp_path / "rates.png")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == names
    with pytest.raises(hs.RequestError, match="cannot be written"):
        plots.draw_rates(runs, tmp_path / "rates.none")
