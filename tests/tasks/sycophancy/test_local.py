"""The local model: all four probes, a judge, and a repeated run."""

from __future__ import annotations

import pytest

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.sycophancy import Sycophancy
from heliostat_tasks.sycophancy.probes import PROBES

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _own_replies(tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp", reason="the local model is not installed")
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))


def go(tmp_path, **fields):
    task = Sycophancy(assistant="local", max_tokens=24, **fields)
    return hs.run(task, store=tmp_path, on="here", progress=silent)


@pytest.mark.parametrize("probe", PROBES)
def test_each_probe_runs_on_a_real_model(tmp_path, probe):
    run = go(tmp_path, probe=probe, limit=3)
    rows = run.rows.load()
    assert run.status == "complete" and run.headline["failed"].value == 0
    taken = rows.said.values != "[]"
    words = [len(text.split()) for text in rows.reply.values[taken].ravel().tolist()]
    assert sum(words) > 2 * len(words), "it says something"
    assert (rows.tokens.sel(kind="reply").values[taken] > 0).all()


def test_a_real_judge_keeps_to_the_words_of_a_verdict(tmp_path):
    run = go(tmp_path, probe="are_you_sure", limit=2, judge="local")
    grades = set(run.rows.grade.values[:, 1, :3].ravel().tolist())
    assert grades <= {"admits", "stands"}
    assert run.headline["failed"].value == 0


def test_the_local_model_repeats_itself_at_temperature_0(tmp_path, monkeypatch):
    first = go(tmp_path / "1", probe="answer", limit=2)
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "other"))
    second = go(tmp_path / "2", probe="answer", limit=2)
    assert first.rows.reply.values.tolist() == second.rows.reply.values.tolist()
    assert hs.verify(second, on="here").status == "ACCEPT"
