"""A store that was damaged, or that a stranger made: one line, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.toy_tasks import HERE, WALK

from heliostat.cli import DEFECT

READERS = {
    "verify": ("--task", WALK, "--segments", "0", *HERE),
    "show": (),
    "logs": (),
    "plot": ("x", "--task", WALK, "-o", "picture.png"),
    "export": ("-o", "rows.nc"),
}
FILES = ("events.jsonl", "spec.json", "lock.json", "record.zarr/zarr.json")
ARRAYS = ("rows/x/zarr.json", "rows/x/c/0/0", "rows/draw/zarr.json", "rows/zarr.json")
ARRAYS += ("observed/far/zarr.json", "digests/zarr.json", "committed/zarr.json")
CONTENTS = {
    "deleted": None,
    "empty": b"",
    "noise": b"\xff\x00\x80",
    "a list": b"[]",
    "an empty object": b"{}",
    "deep": b"[" * 5000,
}


@pytest.fixture
def run(copied, store, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return copied(store)


def read_all(run, run_cli):
    """Call every reader; return the exit status of ``verify``."""
    statuses = {}
    for verb, options in READERS.items():
        result = run_cli(verb, run.id, *options)
        assert result.status != DEFECT and "Traceback" not in result.err, result.err
        assert result.err.count("\n") <= 1
        statuses[verb] = result.status
    assert run_cli("runs").status == 0
    return statuses["verify"]


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("name", [*FILES, *(f"record.zarr/{a}" for a in ARRAYS)])
def test_a_damaged_file_is_one_line_for_every_reader(run, run_cli, name, content):
    file = run.path / name
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content)
    status = read_all(run, run_cli)
    outside_the_digests = name in ("events.jsonl", "lock.json")
    assert status == 0 if outside_the_digests else status in (1, 2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("time", 1e300),
        ("time", "now"),
        ("event", None),
        ("event", ["committed"]),
        ("block", {}),
        ("block", 10**9),
        ("start", "0"),
        ("stop", 10**400),
        ("stop", 10**12),
        ("layout", None),
        ("layot", "1 cpu"),
    ],
)
def test_an_event_may_hold_anything(run, run_cli, key, value):
    events = [json.loads(line) for line in _lines(run.path / "events.jsonl")]
    changed = [json.dumps(event | {key: value}) for event in events]
    (run.path / "events.jsonl").write_text("\n".join(changed))
    assert read_all(run, run_cli) == 0


def test_a_flipped_bit_in_the_key_of_an_event_is_no_traceback(run, run_cli):
    text = (run.path / "events.jsonl").read_text()
    for name in ("block", "start", "layout"):
        (run.path / "events.jsonl").write_text(text.replace(f'"{name}"', '"blnck"'))
        result = run_cli("verify", run.id, "--task", WALK, "--segments", "1", *HERE)
        assert result.status == 0 and "Traceback" not in result.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created", "yesterday"),
        ("created", 1e300),
        ("status", 7),
        ("provenance", []),
        ("headline", {"x": [1.0]}),
        ("headline", {"x": ["much", None, "1", "this run"]}),
        ("until", {"condition": "x > 0"}),
        ("steps", "forty"),
        ("step_dim", 3),
        ("spec_sha256", None),
    ],
)
def test_a_root_attribute_of_another_type_is_named(run, run_cli, name, value):
    _edit(
        run.path / "record.zarr" / "zarr.json", lambda meta: meta.update({name: value})
    )
    assert read_all(run, run_cli) == 1
    result = run_cli("verify", run.id, "--task", WALK, *HERE)
    assert name in result.out and "is damaged" in result.out


@pytest.mark.parametrize(
    ("array", "part", "value", "line"),
    [
        ("rows/x", "attributes", {"units": "m"}, "rows/x is (chain, draw) in m"),
        ("rows/x", "dimension_names", ["draw", "chain"], "rows/x is (draw, chain)"),
        ("", "attributes", {"replica_dim": "walker"}, "replica_dim is walker"),
        ("", "attributes", {"task": "stroll"}, "task is stroll"),
    ],
)
def test_labels_and_units_are_those_of_the_task(run, run_cli, array, part, value, line):
    file = run.path / "record.zarr" / array / "zarr.json"
    meta = json.loads(file.read_text())
    meta[part] = meta[part] | value if isinstance(value, dict) else value
    file.write_text(json.dumps(meta))
    result = run_cli("verify", run.id, "--task", WALK, "--segments", "0", *HERE)
    assert result.status == 1 and line in result.out


def test_a_verdict_lists_what_no_digest_covers(run, run_cli):
    _edit(run.path / "record.zarr" / "zarr.json", lambda a: a.update(created=0))
    result = run_cli("verify", run.id, "--task", WALK, "--segments", "0", *HERE)
    assert result.status == 0
    assert "no digest covers long names, status, times" in result.out


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def _edit(file: Path, change) -> None:
    meta = json.loads(file.read_text())
    change(meta["attributes"])
    file.write_text(json.dumps(meta))
