"""A stored run as its reader sees it: names of rows, and its task in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from support import toy_tasks

import heliostat as hs
from heliostat.config import registry

OPTIONS = {"on": "here", "progress": False}


@dataclass(frozen=True)
class Shadowed(toy_tasks.Stroll):
    """Walks whose rows have the name of a method of datasets."""

    emits = {"update": hs.Var(), "x": hs.Var()}
    observes = {"mean": hs.Var()}

    def step(self, key, state, data):
        x, row = super().step(key, state, data)
        return x, {"update": x, "x": row["x"]}

    def observe(self, state, data):
        return {"mean": state}

    def headline(self, rows):
        return {"last": hs.Estimate(float(rows["update"][:, -1].mean()))}


def test_variables_that_methods_would_hide_get_an_underscore(tmp_path):
    run = hs.run(Shadowed(), store=tmp_path, **OPTIONS)
    assert (run.rows.update_ == run.rows.x).all()
    assert run.observed.mean_.shape == (2, 2)
    assert run.tree["rows"].update_.size and run.tree["observed"].mean_.size
    beginning = hs.run(Shadowed(), steps=10, store=tmp_path, **OPTIONS)
    assert beginning.headline["last"].value == pytest.approx(run.rows.x[:, 9].mean())
    assert hs.verify(run, on="here").status == "ACCEPT"
    for name in ("update", "update_"):
        assert hs.plot(run, name).get_ylabel().startswith("update")


def test_open_finds_classes_of_this_process(tmp_path):
    run = hs.run(Shadowed(), store=tmp_path, **OPTIONS)
    opened = hs.open(run.id, store=tmp_path)
    assert opened.task == Shadowed() and hs.verify(opened, on="here").status == "ACCEPT"
    assert hs.extend(opened, steps=30, **OPTIONS).steps == 30


@pytest.mark.slow
def test_an_edited_class_is_another_task(tmp_path):
    """Of two classes with a name, a run is of the one with its source."""
    file = tmp_path / "edited.py"
    text = Path(toy_tasks.__file__).read_text()
    runs = []
    for more in ("", "# edited\n"):
        file.write_text(text + more)
        cls = registry.load_task(f"{file}:Stroll")
        runs.append(hs.run(cls(), store=tmp_path, **OPTIONS))
    assert runs[0].id != runs[1].id
    assert hs.open(runs[1].id, store=tmp_path).task == runs[1].task


def test_a_class_may_be_given_by_its_address(tmp_path):
    run = hs.run(Shadowed(), store=tmp_path, **OPTIONS)
    address = f"{__file__}:Shadowed"
    assert hs.open(run.id, store=tmp_path, task=address).task.steps == 20
    for wrong in (Shadowed(), 3, "nowhere.py:Shadowed"):
        with pytest.raises(hs.RequestError):
            hs.open(run.id, store=tmp_path, task=wrong)
