"""Code of users: identified by its text, carried to workers, not read from stores."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import sys
from dataclasses import dataclass

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat import config, laws
from heliostat.driver.progress import silent

TEXT = """
import dataclasses
import jax.numpy as jnp

@dataclasses.dataclass
class Shift:
    by: float

    def __call__(self, x):
        return x + self.by

half: float = 0.5
shift, (twice, _) = Shift(half), (2, 3)

def rule(x):
    return shift(x)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(TEXT)
    return path


def run_here(task, store, **options):
    return hs.run(task, on="here", store=store, progress=silent, **options)


def coded(file, name="rule"):
    return toy_tasks.Coded(hs.Code(f"{file}:{name}"))


def test_the_identity_has_the_digest_of_the_text(file, tmp_path):
    other, edited = tmp_path / "other.py", tmp_path / "edited.py"
    other.write_text(TEXT)
    edited.write_text(TEXT + "\n")
    one, two, three, four = (
        config.specify(task)
        for task in (coded(file), coded(other), coded(edited), coded(file, "shift"))
    )
    hexadecimal = hashlib.sha256(TEXT.encode()).hexdigest()
    assert one.identity["fields"] == {"rule": f"sha256:{hexadecimal}:rule"}
    assert one.id == two.id and len({one.id, three.id, four.id}) == 3


def test_code_keeps_the_text_that_was_read(file):
    task, before = coded(file), config.specify(coded(file))
    file.write_text(TEXT + "\n")
    assert config.specify(task) == before
    file.unlink()
    assert config.specify(task) == before and task.rule.load()(1.0) == 1.5
    copy = pickle.loads(pickle.dumps(task))
    assert copy == task and hash(copy) == hash(task)
    assert type(copy.rule) is hs.Code and copy.rule.load()(1.0) == 1.5


def test_code_is_executed_in_a_module_of_its_own(file):
    before = set(sys.modules)
    one, two = coded(file).rule.load(), coded(file).rule.load()
    assert one is not two and one.__globals__["__file__"] == str(file)
    new = set(sys.modules) - before
    assert {one.__module__, two.__module__} <= {"builtins", *new}
    assert "mine" not in sys.modules and len(new) >= 2


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("none.py:rule", "No such file"),
        ("{file}", "expected FILE.py:NAME"),
        ("{file}:", "expected FILE.py:NAME"),
        ("{file}:a b", "expected FILE.py:NAME"),
        (":rule", "expected FILE.py:NAME"),
        ("{file}:rulle", "does not define 'rulle'"),
        ("{file}:x", "does not define 'x'"),
        ("{folder}:rule", "Is a directory"),
        ("{broken}:rule", "is not valid Python"),
        ("{bytes}:rule", "is not UTF-8 text"),
    ],
)
def test_invalid_code_is_refused_in_one_line(value, line, file, tmp_path):
    broken, binary = tmp_path / "broken.py", tmp_path / "bytes.py"
    broken.write_text("def rule(:\n")
    binary.write_bytes(b"\xff")
    names = {"file": file, "folder": tmp_path, "broken": broken, "bytes": binary}
    value = value.format(**names)
    for make in (hs.Code, lambda v: config.build(toy_tasks.Coded, {"rule": v})):
        with pytest.raises(hs.RequestError, match="code '") as caught:
            make(value)
        assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rule", "shift", "Shift", "half", "twice"])
def test_names_at_top_level_are_listed_without_executing_the_text(name, file):
    file.write_text(TEXT + "\nraise SystemExit('executed')\n")
    code = hs.Code(f"{file}:{name}")
    with pytest.raises(hs.RequestError, match="cannot be loaded: SystemExit: executed"):
        code.load()


def test_an_error_in_the_code_is_one_line_and_stores_nothing(file, tmp_path):
    file.write_text(TEXT + "\n1 / 0\n")
    with pytest.raises(hs.RequestError, match="ZeroDivisionError") as caught:
        run_here(coded(file), tmp_path)
    assert "\n" not in str(caught.value) and hs.runs(store=tmp_path).empty


@pytest.mark.slow
def test_a_task_with_code_passes_every_law(file, fleet_ray):
    results = laws.check_task(coded(file), workers=(2,))
    assert {law: reason for law, reason in results.items() if reason} == {}


@pytest.mark.slow
def test_workers_need_no_file(file, tmp_path, fleet_ray):
    task = coded(file)
    file.unlink()
    run = hs.run(task, store=tmp_path, workers=1, gpus=0, progress=silent)
    assert run.rows.x.values.tolist() == [0.5 * t for t in range(1, 11)]


def test_without_its_code_a_run_can_be_read_but_not_stepped(file, tmp_path):
    run = run_here(coded(file), tmp_path)
    opened = hs.open(run.id, store=tmp_path, task=toy_tasks.Coded)
    assert opened.task == run.task and opened.task.rule.text is None
    assert opened.rows.x.values[-1] == 5 and opened.headline == {}
    assert hs.verify(opened, segments=0, on="here").status == "ACCEPT"
    for step in (hs.verify, lambda r, on: hs.extend(r, steps=20, on=on)):
        with pytest.raises(hs.RequestError, match=r"give it with --code FILE\.py:rule"):
            step(opened, on="here")
    again = hs.open(run.id, store=tmp_path, task=toy_tasks.Coded)
    assert again.status == "complete" and again.steps == 10


@pytest.mark.parametrize("several", [False, True])
def test_the_code_may_be_supplied_again(file, several, tmp_path):
    run = run_here(coded(file), tmp_path)
    moved = file.rename(tmp_path / "moved.py")
    code = f"{moved}:rule"
    run = hs.open(run.id, store=tmp_path, task=toy_tasks.Coded)
    longer = hs.extend(
        run, steps=20, on="here", code=[code] if several else code, progress=silent
    )
    assert longer.rows.x.values[-1] == 10 and longer.id == run.id
    assert hs.verify(run, on="here", code=code).status == "ACCEPT"
    opened = hs.open(run.id, store=tmp_path, task=toy_tasks.Coded, code=code)
    assert opened.task.rule.load()(1.0) == 1.5


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        (TEXT + "\n", "rule", "is not the code of run"),
        (TEXT, "shift", "has no code named shift; its code is rule"),
    ],
)
def test_other_code_is_refused(text, name, line, file, tmp_path):
    run = run_here(coded(file), tmp_path)
    file.write_text(text)
    for verb in (hs.verify, hs.resume):
        with pytest.raises(hs.RequestError, match=line):
            verb(run, on="here", code=f"{file}:{name}")
    walk = run_here(toy_tasks.Walk(), tmp_path)
    with pytest.raises(hs.RequestError, match="has no code in its fields"):
        hs.verify(walk, on="here", code=f"{file}:{name}")


@dataclass(frozen=True)
class Several(toy_tasks.Coded):
    more: tuple[hs.Code, ...] = ()
    perhaps: hs.Code | None = None


def write_hostile_run(store, evil, where):
    """Write a consistent run whose spec names a file; executing it leaves a mark."""
    target = evil.with_suffix(".executed")
    evil.write_text(f"open({str(target)!r}, 'w').close()\ndef rule(x): return x\n")
    fields = {"rule": f"sha256:{'0' * 64}:rule", "more": [], "perhaps": None}
    path = f"{evil}:rule"
    identity = {**fields, where: [path] if where == "more" else path}
    passed = {"rule": path, "more": [path], "perhaps": path}
    spec = config.specify(Several(hs.Code(fields["rule"])))
    spec = config.Spec(
        spec.identity | {"fields": identity if where != "passed" else fields}, passed
    )
    from heliostat.store.record import Record

    about = {"schema": config.SCHEMA, "status": "stopped", "steps": 10, "created": 0}
    about |= {"step_dim": "step", "replica_dim": "replica", "provenance": {}}
    about |= {"task": "several"}
    Record.create(store / "several" / spec.id, spec, Several(hs.Code(path)), about)
    return spec.id, target


@pytest.mark.parametrize("where", ["passed", "rule", "more", "perhaps"])
def test_nothing_that_a_store_names_is_executed(where, tmp_path):
    store = tmp_path / "store"
    run_id, target = write_hostile_run(store, tmp_path / "evil.py", where)
    verbs = {
        "verify": lambda run: hs.verify(run, on="here"),
        "plot": lambda run: hs.plot(run, output=tmp_path / "x.png"),
        "resume": lambda run: hs.resume(run, on="here", progress=silent),
    }
    for verb in verbs.values():
        with contextlib.suppress(hs.RequestError):
            verb(hs.open(run_id, store=store, task=Several))
    with pytest.raises(hs.RequestError, match=r"digest of code|not part of the store"):
        verbs["resume"](hs.open(run_id, store=store, task=Several))
    assert not target.exists()
    hs.Code(f"{tmp_path / 'evil.py'}:rule").load()
    assert target.exists()  # so the test would notice
