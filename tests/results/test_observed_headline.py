"""Headlines of rows and observations, of an earlier version, and with warnings."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.answer import headline_lines, warnings_of
from heliostat.cli.format import run_answer
from heliostat.driver.progress import silent
from heliostat.results import plotting


@dataclass(frozen=True)
class Watched(toy_tasks.Tuned):
    """Walks whose headline counts what was observed, and warns of few."""

    finds = ("far", "rows")
    headline_version = 3

    def headline(self, rows, observed):
        low = "below 9: too few" if observed.sizes["draw"] < 9 else ""
        far = float(observed.sizes["draw"])
        return {
            "far": hs.Estimate(far, note="strides", warning=low),
            "rows": hs.Estimate(float(rows.sizes["draw"])),
        }


def run_here(task, store, **options):
    return hs.run(task, on="here", store=store, progress=silent, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_here(Watched(), tmp_path_factory.mktemp("runs"), steps=45)


def values(run) -> tuple[float, float]:
    return run.headline["far"].value, run.headline["rows"].value


def test_a_headline_may_take_observations_of_the_same_steps(run, tmp_path):
    assert values(run) == (4, 45)
    store = run.path.parents[1]
    shorter = run_here(Watched(), store, steps=25)  # a view of the same run
    assert values(shorter) == (2, 25)
    ended = run_here(Watched(), tmp_path, steps=400, until="far > 5")
    assert (ended.steps, values(ended)) == (60, (6, 60))


def test_cells_of_a_pack_have_their_own_observations(tmp_path):
    over = {"sigma": [0.5, 2.0]}
    sweep = hs.sweep(Watched(), over=over, steps=30, store=tmp_path, on="here")
    assert [h["far"].value for h in sweep.headlines.values()] == [3, 3]
    first = next(iter(sweep.headlines))
    assert sweep.warnings == [f"far of 2 of 2 runs, such as {first}: below 9: too few"]


def test_the_headline_of_an_earlier_version_is_estimated_again(tmp_path):
    run = run_here(Watched(), tmp_path, steps=30)
    stored = {"far": [77.0, None, "1", "this run"]}
    run.record.update(headline=stored)
    assert hs.verify(run, on="here", segments=0).status == "REJECT"
    run.record.update(headline_version=2)
    old = hs.open(run.id, store=tmp_path, task=Watched)
    assert values(old) == (3, 30)
    assert hs.verify(old, on="here", segments=0).status == "ACCEPT"


def test_a_warning_stands_beside_its_number_in_text_json_and_picture(run, monkeypatch):
    line = "  far  = 4  (this run; strides)  WARNING: below 9: too few"
    assert headline_lines(run.headline) == [line, "  rows = 45  (this run)"]
    assert line in repr(run).splitlines()
    answer = run_answer(run, run.steps)
    assert line in answer.text
    assert answer.data["headline"]["far"]["warning"] == "below 9: too few"
    assert answer.data["headline"]["rows"]["warning"] == ""
    bare = plotting.new_axes
    monkeypatch.setattr(plotting, "new_axes", lambda output: bare("a file"))
    axes = hs.plot(run)
    assert warnings_of(run.headline) == ["far = 4: below 9: too few"]
    assert [text.get_text() for text in axes.texts] == [
        "WARNING: far = 4: below 9: too few"
    ]
