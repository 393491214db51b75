"""Records on disk: damage is named; a crash between any two writes loses nothing."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass

import jax
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from support import toy_tasks

import heliostat as hs
from heliostat import config
from heliostat.driver.progress import silent
from heliostat.loop.state import digest
from heliostat.store import blocks, digests
from heliostat.store.checkpoints import Checkpoints
from heliostat.store.events import EventLog
from heliostat.store.record import Record


@pytest.fixture
def run(copied, tmp_path):
    return copied(tmp_path)


def flip(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def reopened(run):
    return hs.open(run.id, store=run.path.parents[1], task=toy_tasks.Walk)


def verdict(run):
    return hs.verify(reopened(run), on="here")


def test_an_honest_run_is_accepted(run):
    result = hs.verify(run, segments="all", on="here")
    assert result.status == "ACCEPT" and len(result.replayed) >= 3


@pytest.mark.parametrize("at", [0, 20, -1])
def test_one_byte_of_the_rows_is_found(run, at):
    flip(run.path / "record.zarr" / "rows" / "x" / "c" / "0" / "0", at)
    result = verdict(run)
    assert result.status == "REJECT" and "rows/x is damaged" in result.reasons[0]
    with pytest.raises(Exception, match=r"[Cc]hecksum|crc"):
        reopened(run).rows.load()


def test_a_rewritten_row_is_found(run):
    import zarr

    rows = zarr.open_group(run.path / "record.zarr/rows", mode="r+")
    rows["x"][1, 12] = 0.0
    result = verdict(run)
    assert result.status == "REJECT"
    assert result.reasons == [
        "rows differ from their digest at block 0, steps 11 to 20"
    ]


def test_one_byte_of_a_state_is_found(run):
    path = run.path / "checkpoints" / "block-0001" / "000000020.npz"
    if not path.exists():
        path = max((run.path / "checkpoints" / "block-0001").glob("*.npz"))
    flip(path, 200)
    result = verdict(run)
    assert result.status == "REJECT" and str(path.name) in result.reasons[0]


def test_a_swapped_state_is_found(run):
    folder = run.path / "checkpoints"
    last = max((folder / "block-0000").glob("*.npz"))
    shutil.copy(folder / "block-0001" / last.name, last)
    result = verdict(run)
    assert result.reasons == ["the state of block 0 at step 40 differs"]
    with pytest.raises(hs.StoreError, match="step 40: the kept state is damaged, or"):
        hs.resume(reopened(run), steps=50, on="here", progress=False)


def test_a_changed_spec_is_found(run):
    path = run.path / "spec.json"
    spec = json.loads(path.read_text())
    spec["identity"]["fields"]["sigma"] = 1.5
    path.write_text(json.dumps(spec))
    with pytest.raises(hs.StoreError, match=r"spec\.json: the spec is damaged"):
        reopened(run)


def test_forged_digests_need_a_forged_history(run):
    """Only a replay finds rows, digests and links that were forged consistently."""
    import zarr

    from heliostat.loop.state import StrideDigests
    from heliostat.store.digests import first_link, next_link

    task, root = run.task, zarr.open_group(run.path / "record.zarr", mode="r+")
    root["rows"]["x"][0:2, 25] = 0.0
    link = first_link(run.spec.genesis, 0)
    for index, (stride, _) in enumerate(run.record.strides(0, 10)):
        rows = blocks.rows_digest(
            Record(run.path), task, 0, stride.stop - 10, stride.stop
        )
        link = next_link(link, StrideDigests(stride.stop, stride.state, rows))
        for kind, value in ((1, rows), (2, link)):
            root["digests"][0, index, kind] = np.frombuffer(value, np.uint8)
    assert hs.verify(reopened(run), segments=0, on="here").status == "ACCEPT"
    result = hs.verify(reopened(run), segments="all", on="here")
    assert result.status == "REJECT"
    assert result.reasons == ["replay gives another rows at block 0, steps 21 to 30"]


@pytest.mark.parametrize("name", ["zarr.json", "rows/x/zarr.json", "committed/c/0"])
def test_truncated_metadata_is_named(run, name):
    path = run.path / "record.zarr" / name
    path.write_bytes(path.read_bytes()[:7])
    with pytest.raises(hs.StoreError, match="damaged"):
        reopened(run).rows.load()


def test_a_missing_chunk_is_not_read_as_nan(run):
    (run.path / "record.zarr" / "rows" / "x" / "c" / "1" / "0").unlink()
    with pytest.raises(hs.StoreError, match="missing"):
        reopened(run).rows  # noqa: B018


def test_a_missing_commit_marker_is_not_read_as_nothing(run):
    (run.path / "record.zarr" / "committed" / "c" / "1").unlink()
    with pytest.raises(hs.StoreError, match="commit marker of block 1 is gone"):
        reopened(run).rows  # noqa: B018
    with pytest.raises(hs.StoreError, match="commit marker of block 1 is gone"):
        hs.run(toy_tasks.Walk(), on="here", store=run.path.parents[1], progress=silent)
    assert (run.path / "record.zarr" / "rows" / "x").exists()


def test_a_forged_headline_is_found(run):
    value, *more = run.record.attrs["headline"]["x"]
    run.record.update(headline={"x": [value - 1, *more]})
    result = hs.verify(reopened(run), segments=0, on="here")
    assert result.status == "REJECT" and "the headline says x" in result.reasons[0]


def test_an_older_schema_is_refused_by_name(run):
    run.record.update(schema=0)
    with pytest.raises(hs.StoreError, match="schema 0; this heliostat reads"):
        reopened(run).rows  # noqa: B018


def test_damaged_runs_are_listed_as_damaged(run):
    (run.path / "spec.json").write_text("{")
    table = hs.runs(store=run.path.parents[1])
    assert table.status.tolist() == ["damaged"]


def test_states_that_are_gone_are_missed(run):
    shutil.rmtree(run.path / "checkpoints")
    assert verdict(run).reasons[0] == "the last state of block 0 is missing"


def test_a_crash_in_the_first_commit_can_be_resumed(tmp_path, monkeypatch):
    from heliostat.store import arrays

    def crashing(*args):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(arrays, "create_coordinate", crashing)
        with pytest.raises(Crash):
            hs.run(toy_tasks.Walk(), on="here", store=tmp_path, progress=silent)
    run = hs.run(toy_tasks.Walk(), on="here", store=tmp_path, progress=silent)
    assert hs.verify(run, on="here").status == "ACCEPT"


def test_an_extension_that_fails_keeps_every_row(tmp_path):
    task = toy_tasks.Raises(at=6)
    run = hs.run(task, on="here", steps=5, store=tmp_path, progress=silent)
    with pytest.raises(Exception, match="author's mistake"):
        hs.extend(run, steps=20, on="here", progress=silent)
    again = hs.open(run.id, store=tmp_path, task=toy_tasks.Raises)
    assert again.steps == 5 and again.rows.t.values.tolist() == [1, 2, 3, 4, 5]


class Crash(Exception):
    pass


@pytest.mark.parametrize(
    ("after", "number"),
    [
        pytest.param("write_chain", 0, marks=pytest.mark.slow),
        ("save", 0),
        pytest.param("thin", 0, marks=pytest.mark.slow),
        ("write_chain", 4),
        pytest.param("save", 4, marks=pytest.mark.slow),
        ("thin", 4),
    ],
)
def test_a_crash_between_any_two_writes_loses_nothing(
    walk, tmp_path, monkeypatch, after, number
):
    owner = digests if after == "write_chain" else Checkpoints
    real, calls = getattr(owner, after), []

    def crashing(*args):
        real(*args)
        calls.append(1)
        if len(calls) > number:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, after, crashing)
        with pytest.raises(Crash):
            hs.run(toy_tasks.Walk(), on="here", store=tmp_path, progress=silent)
    run = hs.run(toy_tasks.Walk(), on="here", store=tmp_path, progress=silent)
    for block in range(3):
        assert run.record.strides(block, 10) == walk.record.strides(block, 10)
    assert hs.verify(run, on="here").status == "ACCEPT"


def test_states_are_thinned_to_the_first_the_last_and_some_between(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in [*range(10, 1010, 10), 1013]:
        checkpoints.save(0, step, {"x": np.arange(3)})
        checkpoints.thin(0, 10, 16)
    kept = checkpoints.steps(0)
    assert len(kept) == 16 and kept[0] == 10 and kept[-2:] == [1000, 1013]
    assert max(np.diff(kept)) <= 200


@dataclass(frozen=True)
class Sparse(toy_tasks.Walk):
    """Walks that keep few states."""

    kept = 3


def test_the_last_state_of_every_length_that_was_asked_for_stays(tmp_path):
    """Asked for again after it was extended, a run still has its last state."""
    task = Sparse()
    options = {"on": "here", "store": tmp_path, "progress": False}
    lengths = [60, 70, 130, 410]
    states = [hs.run(task, steps=steps, **options).state(-1) for steps in lengths]
    run = hs.run(task, steps=700, **options)  # an object that outlives its extension
    lengths, states = [*lengths, 700], [*states, run.state(-1)]
    longest = hs.extend(run, steps=2000, on="here", progress=False)
    assert len(longest.record.checkpoints.steps(0)) <= task.kept + len(lengths)
    for steps, state in zip(lengths, states, strict=True):
        again = hs.run(task, steps=steps, **options).state(-1)
        jax.tree.map(np.testing.assert_array_equal, again, state)


arrays = st.dictionaries(
    st.text("ab", min_size=1, max_size=3),
    st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(
        lambda v: np.array(v, np.float32)
    ),
    max_size=3,
)


@given(arrays, arrays)
@settings(max_examples=200, deadline=None)
def test_digests_tell_tables_apart(one, other):
    def spelled(table):
        return {k: (v.dtype, v.shape, v.tobytes()) for k, v in table.items()}

    assert (digest(one) == digest(other)) == (spelled(one) == spelled(other))


def test_digests_do_not_depend_on_memory_layout():
    x = np.arange(12, dtype=np.float64).reshape(3, 4)
    assert digest({"x": x}) == digest({"x": np.asfortranarray(x)})
    assert digest({"x": x}) == digest({"x": x.astype(">f8")})
    assert digest({"x": x}) != digest({"x": x.reshape(4, 3)})
    words = np.array(["a", "bc"], dtype=np.dtypes.StringDType())
    assert digest({"w": words}) != digest({"w": np.array(["ab", "c"])})
    assert digest({"w": words}) == digest({"w": words.astype(object)})


def test_canonical_json_has_one_spelling():
    assert (
        config.canonical_json({"b": 1.0, "a": [True, None]})
        == b'{"a":[true,null],"b":1.0}'
    )
    with pytest.raises(ValueError):
        config.canonical_json({"a": float("nan")})


@dataclass(frozen=True)
class Unknown(hs.Task):
    """Rows of nothing but fill values."""

    emits = {"x": hs.Var(), "n": hs.Var((), "int32"), "word": hs.Var(dtype="str")}
    traced, stride, steps, kept = False, 1, 10, None
    replica_dim = "chain"

    def init(self, key, replica, data):
        return 0

    def step(self, key, state, data):
        return state, {"x": float("nan"), "n": 0, "word": ""}

    def headline(self, rows):
        return {}


def test_fill_values_are_stored_whatever_other_threads_do(tmp_path):
    """zarr skips such chunks by a setting that all threads share; in a record, a
    missing chunk means lost data."""
    over = threading.Event()

    def others():
        while not over.is_set():
            with zarr.config.set({"array.write_empty_chunks": False}):
                time.sleep(0.001)

    thread = threading.Thread(target=others)
    thread.start()
    try:
        run = hs.run(Unknown(), store=tmp_path, on="here", progress=silent)
    finally:
        over.set()
        thread.join()
    rows = run.rows.load()
    assert np.isnan(rows.x).all() and (rows.n == 0).all()


def test_concurrent_events_are_a_line_each(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")

    def tell(who):
        for number in range(50):
            log.append("noted", who=who, number=number)

    threads = [threading.Thread(target=tell, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    pairs = sorted((line["who"], line["number"]) for line in lines)
    assert pairs == [(who, number) for who in range(8) for number in range(50)]


def test_a_child_forked_during_an_append_keeps_no_lock(tmp_path, monkeypatch):
    """A child inherits the locks of open files, and this one outlives them."""
    log, children = EventLog(tmp_path / "events.jsonl"), []
    lock = fcntl.flock

    def forking(stream, how):
        lock(stream, how)
        if how == fcntl.LOCK_EX and not children:
            keep = (stream.fileno(),)
            children.append(subprocess.Popen(["sleep", "60"], pass_fds=keep))

    monkeypatch.setattr(fcntl, "flock", forking)
    try:
        log.append("first")
        second = threading.Thread(target=log.append, args=("second",), daemon=True)
        second.start()
        second.join(20)
        assert not second.is_alive()
    finally:
        children[0].kill()
        children[0].wait()
    assert [event["event"] for event in log.events()] == ["first", "second"]


def test_lines_that_are_not_events_are_skipped(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append("first")
    with log.path.open("ab") as stream:
        stream.write(b'\xff\xfe\n5\n[1]\nnull\n{}\n\n{"event": "cut')
    log.append("last")
    assert [event["event"] for event in log.events()] == ["first", "last"]
