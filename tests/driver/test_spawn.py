"""A driver of a task that no other process can import: it receives the code."""

from __future__ import annotations

import io
import json
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.driver import child, spawn


def local_task():
    """Return a task of this session alone: its class has no address."""

    @dataclass(frozen=True)
    class Local(toy_tasks.Walk):
        def headline(self, rows):
            return {"x": hs.Estimate(float(rows.x.mean()), 0.1)}

    return Local(sigma=0.5)


def test_a_driver_receives_the_code_of_its_task(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(spawn, "_start", lambda record, words, code: sent.append(code))
    run = hs.start(local_task(), steps=30, on="here", store=tmp_path)
    request = json.loads(sent[0].partition(b"\n")[0])
    placement = {"on": "here", "workers": None, "gpus": None}
    assert request["options"] == {**placement, "steps": 30}
    stdin = io.TextIOWrapper(io.BytesIO(sent[0]))
    monkeypatch.setattr(child.sys, "stdin", stdin)
    child.main()
    alone = hs.run(local_task(), steps=30, on="here", store=tmp_path / "alone")
    assert run.status == "complete" and run.headline == alone.headline
    assert np.array_equal(run.rows.x, alone.rows.x)


def test_a_task_that_cannot_be_sent_leaves_nothing(tmp_path):
    class Locked(toy_tasks.Walk):
        lock = threading.Lock()

    with pytest.raises(hs.RequestError, match=r"Locked cannot be sent to .*lock"):
        hs.start(Locked(), on="here", store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_driver_that_is_refused_says_so_in_the_status(tmp_path, monkeypatch):
    class Bad(toy_tasks.Stroll):
        def step(self, key, state, data):
            return state, {}

    sent = []
    monkeypatch.setattr(spawn, "_start", lambda record, words, code: sent.append(code))
    run = hs.start(Bad(), on="here", store=tmp_path)
    monkeypatch.setattr(child.sys, "stdin", io.TextIOWrapper(io.BytesIO(sent[0])))
    with pytest.raises(SystemExit, match="error: Bad: step returns"):
        child.main()
    assert run.status == "failed"
    assert "step returns []" in run.record.attrs["reason"]


@pytest.mark.slow
def test_a_task_of_this_session_is_computed_by_another_process(tmp_path):
    run = hs.start(local_task(), steps=30, on="here", store=tmp_path)
    deadline = time.monotonic() + 120
    while run.status != "complete" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert run.status == "complete" and run.steps == 30
    assert spawn._SPAWNED[-1].wait(60) == 0
