"""Runs and sweeps of the gold store, and what is expected of each.

``make.py`` computes them, ``test_gold.py`` asks for them again.  Files that fields name
are relative to this folder, so that no path of a machine is stored.  Only public names
of heliostat are used, and the stored form: both outlive a refactoring.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import zarr

import heliostat as hs
from heliostat_tasks.bilevel import Bilevel
from heliostat_tasks.discrete import Discrete
from heliostat_tasks.learn import Learn
from heliostat_tasks.preferences import Preferences
from heliostat_tasks.provenance import Provenance
from heliostat_tasks.sycophancy import Sycophancy
from heliostat_tasks.vmc import VMC

HERE = Path(__file__).parent
ARCHIVE, EXPECTED = HERE / "store.tar.xz", HERE / "expected.json"
CODE = "density.py:log_density"

BILEVEL = Bilevel(problem="quadratic", inits=1)
SPINS = Discrete(size=3, coupling=0.2, chains=10, warmup=20)
CHAIN = Discrete(size=3, coupling=0.2, chains=8, warmup=20)
HELIUM = VMC(
    molecule="He",
    walkers=16,
    train=30,
    moves=2,
    burn_in=20,
    terms=2,
    features=4,
    layers=1,
    attention_heads=1,
)
LATTICE = Learn(
    size=3,
    samples=50,
    buffer=16,
    batch=16,
    moves=2,
    train=20,
    evaluate=2,
    temperatures=20,
    particles=8,
    settle=5,
)
DIGITS = Provenance(
    model="mlp", channels=4, layers=1, batch=8, train=6, segment=3, warmup=2
)
RATES = {"outer_lr": hs.Range(1e-4, 0.03, log=True)}


class Case(NamedTuple):
    """A run of the store."""

    task: hs.Task
    options: dict[str, Any]
    parent: str = ""
    """Name of the run that it begins from."""
    stopped: int = 0
    """Step after which its driver was asked to stop."""


def cases() -> dict[str, Case]:
    """All runs by their names, a parent before its child; some read files here."""
    coded = Discrete(target=hs.Code(CODE), size=6, chains=4, warmup=20)
    filed = Discrete(
        couplings=hs.File("couplings.txt"), coupling=0.4, chains=4, warmup=20
    )
    never = {"steps": 300, "until": "ess > 1e9"}
    return {
        "bilevel": Case(BILEVEL, {"steps": 100}),
        "child": Case(BILEVEL, {"steps": 100}, parent="bilevel"),
        "discrete": Case(SPINS, {"steps": 150}),
        "x64": Case(SPINS, {"steps": 100, "x64": True}),
        "until": Case(CHAIN, {"steps": 400, "until": "ess > 30"}),
        "stopped": Case(CHAIN, {"seed": 1, **never}, stopped=100),
        "code": Case(coded, {"steps": 100}),
        "file": Case(filed, {"steps": 100}),
        "learn": Case(LATTICE, {}),
        "preferences": Case(Preferences(pairs=200, chains=2, warmup=20), {"steps": 60}),
        "provenance": Case(DIGITS, {}),
        "sycophancy": Case(Sycophancy(limit=10), {}),
        "begun sycophancy": Case(Sycophancy(limit=10), {"seed": 1, "steps": 1}),
        "vmc": Case(HELIUM, {"steps": 25}),
        "sharded": Case(HELIUM, {"seed": 1, "steps": 20, "on": "local", "workers": 2}),
    }


def sweeps() -> dict[str, dict[str, Any]]:
    """Options of all sweeps over BILEVEL by their names; the grid is packed."""
    drawn = {"over": RATES, "metric": "outer_loss", "search": "random"}
    asha = {"scheduler": "asha", "trials": 5, "grace": 100, "factor": 2, "steps": 400}
    pbt = {"scheduler": "pbt", "trials": 4, "grace": 100, "steps": 200}
    return {
        "grid": {"over": {"outer_lr": [0.01, 0.02], "seed": [0, 1]}, "steps": 100},
        "asha": drawn | asha,
        "pbt": drawn | pbt,
        "tpe": drawn | {"search": "tpe", "trials": 4, "steps": 100},
        "hypergradient": {
            "over": RATES,
            "search": "hypergradient",
            "trials": 3,
            "steps": 100,
        },
    }


def ask(case: Case, store: Path, made: dict[str, hs.Run], **more: Any) -> hs.Run:
    """Compute a run, or get the stored one; ``made`` has the runs by their names."""
    options = {"on": "here", **case.options, **more}
    parent = made[case.parent] if case.parent else None
    return hs.run(case.task, store=store, parent=parent, **options)


def ask_all(
    store: Path, progress: Any = None, names: Sequence[str] = ()
) -> dict[str, hs.Run]:
    """Runs by their names.

    Args:
        names: of those that are asked for, a parent with its child; default all.
        progress: of those that are stopped; without one they are asked as far as they
            come, which gives the same links.
    """
    made: dict[str, hs.Run] = {}
    for name, case in cases().items():
        if names and name not in names:
            continue
        more = ending(case, progress) if case.stopped else {}
        made[name] = ask(case, store, made, **more)
    return made


def ending(case: Case, progress: Any = None) -> dict[str, Any]:
    """Options with which a stopped run ends where it did."""
    if progress:
        return {"progress": progress}
    return {"steps": case.stopped, "until": None}


def ask_sweeps(store: Path, names: Sequence[str] = ()) -> dict[str, hs.Sweep]:
    """Sweeps by their names, default all."""
    return {
        name: hs.sweep(BILEVEL, store=store, on="here", **options)
        for name, options in sweeps().items()
        if not names or name in names
    }


def described(
    store: Path, named: dict[str, hs.Run], swept: dict[str, hs.Sweep]
) -> dict[str, Any]:
    """Everything that is expected of a store, as JSON values."""
    return {
        "named": {name: run.id for name, run in named.items()},
        "runs": {run.id: about(run) for run in opened(store)},
        "sweeps": {name: cells(sweep) for name, sweep in swept.items()},
    }


def opened(store: Path) -> Iterator[hs.Run]:
    """All runs of a store, cells of packs among them."""
    for id_ in sorted(hs.runs(store=store).id):
        yield hs.open(id_, store=store)


def about(run: hs.Run) -> dict[str, Any]:
    """Task, length, status, last links, headline and environments of a run."""
    return {
        "task": run.path.parent.name,
        "steps": run.steps,
        "status": run.status,
        "links": links(run),
        "headline": {n: repr(float(e.value)) for n, e in run.headline.items()},
        "environments": environments(run),
    }


def cells(sweep: hs.Sweep) -> dict[str, Any]:
    """Id, cells and states of a sweep."""
    table = sweep.table
    return {
        "id": sweep.id,
        "cells": dict(zip(table.run, table.state, strict=True)),
        "states": sweep.states,
    }


def links(run: hs.Run, step: int | None = None) -> list[str]:
    """The link of each block's chain at a step, default the last.

    It is read from the stored form, ``digests[cell?, block, stride, kind, byte]``, and
    not by what heliostat makes of it.
    """
    home, cell = _place(run)
    digests = zarr.open_array(home / "record.zarr" / "digests", mode="r")
    stride = -(-(step or run.steps) // run.task.stride) - 1
    table = digests[(*cell, slice(None), stride, 2)]
    return [bytes(link).hex() for link in table]


def environments(run: hs.Run) -> list[str]:
    """Fingerprints of the processes that computed a run: equal ones, equal bits."""
    events = run.events()
    return sorted({e["environment"] for e in events if e["event"] == "committed"})


def _place(run: hs.Run) -> tuple[Path, tuple[int, ...]]:
    """The folder of a run's record, and which cell of a pack it is, if it is one."""
    if run.path.exists():
        return run.path, ()
    for file in run.path.parent.glob("packs/*/pack.json"):
        ids = list(json.loads(file.read_text())["cells"])
        if run.id in ids:
            return file.parent, (ids.index(run.id),)
    raise FileNotFoundError(run.path)
