"""A store that was damaged, or that a stranger made: one line, never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support import damage
from support.damage import COMMANDS, KINDS, PYTHON, Damage, call_command
from support.toy_tasks import HERE

import heliostat as hs


@pytest.fixture(scope="module")
def original(walk, tmp_path_factory):
    return damage.create(tmp_path_factory.mktemp("original") / "store", walk)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "store"


@st.composite
def damages(draw, files):
    return Damage(
        draw(st.sampled_from(files)),
        draw(st.sampled_from(KINDS)),
        draw(st.integers(0, 2**20)),
    )


def read(stored, run, reader):
    """Return the exit status of a reader, whose answer is one line."""
    if reader in PYTHON:
        try:
            PYTHON[reader](stored, run)
        except (hs.RequestError, hs.StoreError) as error:
            assert "\n" not in str(error)
        return 0
    status, _, err = call_command(reader, stored, run)
    assert status in (0, 1, 2), err
    assert "Traceback" not in err
    if reader != "resume":  # its progress is several lines
        expected = status if reader != "verify" else status == 2
        assert err.count("\n") == bool(expected), err
    return status


def check(stored, original, run, readers):
    """Call readers of a damaged store; those that accept it read the true values."""
    for reader in readers:
        status = read(stored, run, reader)
        if reader == "runs":
            assert status == 0
        if reader == "verify" and status == 0:
            pair = [hs.open(run, store=s.store) for s in (stored, original)]
            assert damage.same_science(*pair)


READERS = (*COMMANDS, *PYTHON)
BOUNDED = {
    "derandomize": True,
    "database": None,
    "phases": [Phase.generate],
    "suppress_health_check": [
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
}


@settings(max_examples=8, **BOUNDED)
@given(data=st.data())
def test_a_reader_of_a_damaged_store_answers_in_one_line(
    data, original, target, configured
):
    flaw = data.draw(damages(original.files()))
    reader = data.draw(st.sampled_from(READERS))
    stored = original.copy(target)
    flaw.apply(target)
    check(stored, original, original.id_of(flaw.name), [reader])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=150, **BOUNDED)
@given(data=st.data())
def test_every_reader_of_a_damaged_store_answers_in_one_line(
    data, original, target, configured
):
    flaw = data.draw(damages(original.files()))
    stored = original.copy(target)
    flaw.apply(target)
    check(stored, original, original.id_of(flaw.name), READERS)


# -- files that a stranger wrote: each is JSON, with other values ----------------------


@pytest.fixture
def run(copied, store, configured):
    return copied(store)


EVENTS = [
    ("time", 1e300),
    ("time", "now"),
    ("event", None),
    ("event", ["committed"]),
    ("block", {}),
    ("block", 10**9),
    ("start", "0"),
    ("start", -(10**15)),
    ("stop", 10**400),
    ("stop", 10**12),
    ("layout", None),
    ("blnck", 0),
    ("cells", 7),
    ("traceback", 7),
]


def test_the_log_may_hold_any_event(run, run_cli):
    file = run.path / "events.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    hostile = [event | {key: value} for key, value in EVENTS for event in events]
    hostile += [{k: v for k, v in e.items() if k != "block"} for e in events]
    lines = [*map(json.dumps, hostile), "[]", "1", "[" * 5000, "\x00", '"event"']
    file.write_text("\n".join(lines))
    for words in (("logs",), ("show",), ("verify", "--segments", "1", *HERE)):
        result = run_cli(words[0], run.id, *words[1:], "--store", run.path.parents[1])
        assert result.status == 0 and not result.err
    assert "bit for bit" in result.out  # the true events among them still count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created", "yesterday"),
        ("created", 1e300),
        ("status", 7),
        ("provenance", []),
        ("headline", {"x": [1.0]}),
        ("headline", {"x": ["much", None, "1", "this run"]}),
        ("headline", {"x": [1.0, 2.0, "1", "this run", "", "", "more"]}),
        ("headline_errors", 5),
        ("until", {"condition": "x > 0"}),
        ("steps", "forty"),
        ("step_dim", 3),
        ("spec_sha256", None),
    ],
)
def test_a_root_attribute_of_another_type_is_named(run, run_cli, name, value):
    _edit(
        run.path / "record.zarr", lambda meta: meta["attributes"].update({name: value})
    )
    store = ("--store", run.path.parents[1])
    result = run_cli("verify", run.id, *HERE, *store)
    assert result.status == 1 and "is damaged" in result.out and name in result.out
    assert run_cli("show", run.id, *store).status == 1
    assert hs.runs(store=run.path.parents[1]).status.tolist() == ["damaged"]


@pytest.mark.parametrize(
    ("array", "change", "line"),
    [
        (
            "rows/x",
            lambda meta: meta["attributes"].update(units="m"),
            "rows/x is (chain, draw) in m",
        ),
        (
            "rows/x",
            lambda meta: meta.update(dimension_names=["draw", "chain"]),
            "rows/x is (draw, chain)",
        ),
        (
            "",
            lambda meta: meta["attributes"].update(replica_dim="walker"),
            "replica_dim is walker",
        ),
        ("", lambda meta: meta["attributes"].update(task="stroll"), "task is stroll"),
    ],
)
def test_names_of_axes_and_units_are_those_of_the_task(run, array, change, line):
    _edit(run.path / "record.zarr" / array, change)
    verdict = hs.verify(run, segments=0, on="here")
    assert verdict.status == "REJECT" and line in "; ".join(verdict.reasons)


def test_an_array_that_the_task_does_not_declare_is_a_contradiction(run):
    rows = run.path / "record.zarr" / "rows"
    shutil.copytree(rows / "x", rows / "y")
    verdict = hs.verify(run, segments=0, on="here")
    assert verdict.status == "REJECT"
    assert "rows/y is (chain, draw) in bohr" in verdict.reasons[0]


def test_no_attribute_of_an_array_changes_its_values(run):
    expected = run.rows.load()
    hostile = {"scale_factor": 2.0, "add_offset": 1.0, "coordinates": "n"}
    hostile["missing_value"] = float(expected.x[0, 0])
    rows = run.path / "record.zarr" / "rows" / "x"
    _edit(rows, lambda meta: meta["attributes"].update(hostile))
    assert run.rows.load().equals(expected)
    _edit(rows, lambda meta: meta["attributes"].update(dtype="bool"))
    with pytest.raises(hs.StoreError, match="x has an attribute dtype"):
        _ = run.rows


def test_a_file_that_this_machine_cannot_read_is_no_contradiction(run):
    state = max(run.path.rglob("*.npz"))
    state.unlink()
    state.symlink_to("/proc/self/mem")  # reads end with EIO, as on a bad disk
    verdict = hs.verify(run, segments=0, on="here")
    assert verdict.status == "INCONCLUSIVE"
    assert "cannot be read (Input/output error)" in verdict.reasons[0]


@pytest.mark.parametrize("value", [0, -1, True])
@pytest.mark.parametrize("name", ["width", "stride"])
def test_a_spec_that_somebody_wrote_has_no_stride_of_zero(run, name, value):
    spec = json.loads((run.path / "spec.json").read_text())
    spec["identity"][name] = value
    (run.path / "spec.json").unlink()
    (run.path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(hs.StoreError, match=f"{name} is {value}, expected at least 1"):
        _ = hs.Run(run.path, run.task).spec


def test_a_verdict_lists_what_no_digest_binds(run):
    _edit(run.path / "record.zarr", lambda meta: meta["attributes"].update(created=0))
    verdict = hs.verify(run, segments=0, on="here")
    assert verdict.status == "ACCEPT"
    assert "not bound: long names, typed fields, length, status" in str(verdict)


def _edit(folder: Path, change) -> None:
    meta = json.loads((folder / "zarr.json").read_text())
    change(meta)
    (folder / "zarr.json").unlink()
    (folder / "zarr.json").write_text(json.dumps(meta))
