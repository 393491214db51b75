"""Replay: spans from given states have the digests of the run."""

from __future__ import annotations

from functools import partial

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.driver.progress import silent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    return hs.run(toy_tasks.Walk(), on="here", store=store, progress=silent)


def test_a_span_from_a_kept_state_has_the_digests_of_the_run(run):
    """The state is loaded when its span is computed."""
    block, start = 1, run.kept(1)[0]
    span = hs.Span(
        block, start, run.steps, partial(run.record.load_state, block, start)
    )
    chunks = list(hs.replay(run.task, [span], on="here"))
    replayed = [stride for chunk in chunks for stride in chunk.strides[0]]
    stored = [s for s, _ in run.record.strides(block, run.task.stride)]
    assert replayed == [stride for stride in stored if stride.stop > start]


def test_spans_in_order_are_computed_one_after_another(run):
    spans = [hs.Span(1, 0, 20), hs.Span(0, 0, 20)]
    chunks = hs.replay(run.task, spans, on="here", in_order=True)
    blocks = [chunk.block for chunk in chunks]
    assert blocks == sorted(blocks, reverse=True) and set(blocks) == {0, 1}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"on": ""}, "on '': expected local"),
        ({"on": "here", "workers": 2}, "one process"),
        ({"limits": hs.Limits(cores=0)}, "cores 0: expected 1 to"),
        ({"limits": hs.Limits(cores=100_000)}, "as this machine has"),
    ],
)
def test_a_bad_request_is_refused_before_the_first_chunk(run, options, message):
    with pytest.raises(hs.RequestError, match=message):
        hs.replay(run.task, [hs.Span(0, 0, 10)], **options)
