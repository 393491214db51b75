"""The command line: what it prints, where, and with which exit status."""

from __future__ import annotations

import _thread
import json
import os
import runpy
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import toys
import xarray as xr
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import heliostat as hs
from heliostat import cli, config, device, lock, presets, registry, verbs

WALK = "toys:Walk"
HERE = ("--on", "here")


class Said(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """What ``--json`` printed: one object on one line, and nothing else."""
        assert self.out.count("\n") == 1
        return json.loads(self.out, parse_constant=pytest.fail)

    @property
    def error(self) -> str:
        """The one line that a mistake is answered with."""
        assert self.err.startswith("heliostat: error: ") and self.err.count("\n") == 1
        return self.err.removeprefix("heliostat: error: ").strip()


@pytest.fixture
def claimed(monkeypatch):
    """What the command line would have pinned; the process of the tests stays free."""
    calls = []
    monkeypatch.setattr(device, "claim", lambda *args: calls.append(args))
    return calls


@pytest.fixture
def type_in(claimed, capsys):
    """``type_in("run", "toys:Walk")``: what the command said."""

    def typed(*words: str | Path) -> Said:
        status = cli.main([str(word) for word in words])
        return Said(status, *capsys.readouterr())

    return typed


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def stored(type_in) -> dict[str, Any]:
    """A complete run, as its ``--json`` told it."""
    return type_in("run", WALK, *HERE, "--json").object


# -- a request that is fulfilled -------------------------------------------------------


def test_run_prints_the_headline_and_how_to_open_it(type_in, store, claimed):
    said = type_in("run", WALK, "--chains", "3", *HERE)
    run = hs.open(said.out.split()[1].rstrip(":"))
    assert said.status == 0 and run.status == "complete" and run.steps == 40
    assert f"x = {run.headline['x']}" in said.out
    assert f'hs.open("{run.id}", store="{store}")' in said.out
    assert f"heliostat plot {run.id}" in said.out
    assert "40" in said.err and claimed == [(device.cores()[0], 0)]


def test_json_is_one_object_and_nothing_else(type_in, store):
    said = type_in("run", WALK, *HERE, "--json", "--seed", "3", "--steps", "20")
    found, run = said.object, hs.open(said.object["id"])
    assert (found["status"], found["steps"], said.status) == ("complete", 20, 0)
    assert found["path"] == str(store / "walk" / run.id)
    assert found["headline"]["x"] == run.headline["x"]._asdict()
    assert run.spec.identity["seed"] == 3


def test_options_may_stand_before_the_task(type_in):
    said = type_in("run", "--json", "--dry-run", "vmc", "--molecule", "He")
    assert said.object["fields"]["molecule"].startswith("He")


def test_what_is_no_number_is_null_in_json(type_in, monkeypatch):
    monkeypatch.setattr(
        toys.Walk, "headline", lambda self, rows: {"x": hs.Estimate(1.0)}
    )
    said = type_in("run", WALK, *HERE, "--json", "--steps", "10")
    assert said.object["headline"]["x"]["error"] is None
    listed = type_in("runs", "--json").object["runs"]
    assert listed[0]["x"] == 1.0 and listed[0]["x_error"] is None


def test_what_a_task_prints_is_no_answer(type_in, monkeypatch):
    monkeypatch.setattr(toys.Walk, "prepare", lambda self: print("chatter"))
    said = type_in("run", WALK, *HERE, "--json", "--steps", "10")
    assert said.object["steps"] == 10 and "chatter" in said.err


def test_dry_run_stores_nothing(type_in, store):
    said = type_in("run", WALK, "--sigma", "2", "--dry-run", "--json")
    found = said.object
    assert found["fields"] == {"sigma": 2.0, "chains": 5}
    assert (found["steps"], found["stored_steps"], found["status"]) == (40, 0, "new")
    assert not store.exists()
    ran = type_in("run", WALK, "--sigma", "2", *HERE, "--steps", "10", "--json").object
    again = type_in("run", WALK, "--sigma", "2", "--dry-run", "--json").object
    assert again["id"] == ran["id"] == found["id"] and again["stored_steps"] == 10
    assert "10 steps stored" in type_in("run", WALK, "--sigma", "2", "--dry-run").out


def test_extend_and_resume_go_on(type_in, stored):
    longer = type_in("extend", stored["id"], "--task", WALK, "--steps", "60", *HERE)
    assert longer.status == 0 and "60 of 60 steps" in longer.out
    said = type_in("resume", stored["id"][:6], "--task", WALK, *HERE, "--json")
    assert said.object["steps"] == 60 and said.object["id"] == stored["id"]


def test_fresh_recomputes_and_compares(type_in, stored):
    assert type_in("run", WALK, *HERE, "--fresh", "--json").object["id"] == stored["id"]


def test_a_task_may_live_in_a_file(type_in, tmp_path):
    file = tmp_path / "a_file_of_its_own.py"
    file.write_text(Path(toys.__file__).read_text())
    said = type_in("run", f"{file}:Walk", "--steps", "10", *HERE, "--json")
    again = type_in("extend", said.object["id"], "--steps", "20", *HERE)
    assert again.status == 2 and "unknown task 'walk'" in again.error
    words = ("--steps", "20", *HERE, "--task", f"{file}:Walk")
    assert type_in("extend", said.object["id"], *words).status == 0


# -- looking at what is stored ---------------------------------------------------------


def test_runs_lists_where_runs_differ(type_in, stored):
    other = type_in("run", WALK, "--sigma", "2", *HERE, "--json").object
    table = type_in("runs").out
    assert stored["id"] in table and "sigma=1.0" in table and "chains" not in table
    listed = type_in(
        "runs", "--task", "walk", "--where", "sigma > 1.5", "--json"
    ).object
    assert [r["id"] for r in listed["runs"]] == [other["id"]]
    assert listed["runs"][0]["x"] == other["headline"]["x"]["value"]
    assert type_in("runs", "--where", "sigma > 9", "--json").object == {"runs": []}


def test_show_describes_a_run(type_in, stored):
    shown = type_in("show", stored["id"][:8]).out
    for part in (
        "complete",
        "sigma = 1.0",
        "jax",
        "seed 0",
        "states kept",
        stored["path"],
    ):
        assert part in shown


def test_show_describes_a_task(type_in):
    shown = type_in("show", WALK).out
    for part in (
        "Gaussian random walks",
        "size of a step",
        "position",
        "bohr",
        "40 steps",
    ):
        assert part in shown


def test_tasks_lists_a_broken_plugin_as_broken(type_in, monkeypatch):
    broken = registry.EntryPoint("worse", "no_such_package:Task", registry.GROUP)
    both = {**registry.available(), "worse": broken}
    monkeypatch.setattr(registry, "available", lambda: both)
    said = type_in("tasks")
    assert said.status == 0 and "vmc" in said.out
    assert "task 'worse' is broken: ModuleNotFoundError" in said.out


def test_logs_tell_events(type_in, stored):
    lines = type_in("logs", stored["id"]).out.splitlines()
    assert "started" in lines[0] and "complete" in lines[-1]


def test_watch_returns_when_nobody_drives(type_in, stored):
    said = type_in("watch", stored["id"], "--task", WALK)
    assert said.status == 0 and "complete" in said.out


def test_export_writes_netcdf(type_in, stored, tmp_path):
    file = tmp_path / "rows.nc"
    assert type_in("export", stored["id"], "-o", file).out.strip() == str(file)
    with xr.open_dataset(file, engine="h5netcdf") as rows:
        assert rows.x.sizes == {"chain": 5, "draw": 40}


def test_plot_writes_a_picture(type_in, stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = type_in("plot", stored["id"], "x", "--task", WALK)
    assert said.out.strip() == f"{stored['id']}.png" and Path(said.out.strip()).exists()


def test_rm_asks_first(type_in, stored):
    assert "wants --yes" in type_in("rm", stored["id"]).error
    assert type_in("rm", stored["id"], "--yes").status == 0
    assert not Path(stored["path"]).exists()
    assert type_in("gc").status == 0


def test_verify_tells_with_its_status(type_in, stored):
    words = ("verify", stored["id"], "--task", WALK, *HERE, "--segments")
    said = type_in(*words, "all", "--json")
    assert said.status == 0 and said.object["status"] == "ACCEPT"
    assert said.object["replayed"] and said.object["reasons"] == []
    spec = Path(stored["path"]) / "spec.json"
    spec.write_text(spec.read_text().replace('"seed": 0', '"seed": 1'))
    said = type_in(*words, "0", "--json")
    assert said.status == 1 and said.object["status"] == "REJECT"
    assert "spec.json" in said.object["reasons"][0]
    assert type_in(*words, "-1").status == type_in(*words, "few").status == 2


def test_check_tries_the_laws(type_in, monkeypatch):
    monkeypatch.setattr(
        hs, "check_task", lambda task, workers: {"one": None, "two": "no"}
    )
    said = type_in("check", WALK, "--chains", "2", *HERE)
    assert said.status == 1
    assert said.out.splitlines() == ["holds   one", "broken  two: no"]


def test_start_returns_at_once(type_in, monkeypatch, store):
    both = {"walk": registry.EntryPoint("walk", WALK, registry.GROUP)}
    monkeypatch.setattr(registry, "available", lambda: both)
    spawned = []
    monkeypatch.setattr(verbs, "_spawn", lambda record, words: spawned.append(words))
    said = type_in("start", "walk", "--steps", "20", *HERE, "--json")
    assert said.object["status"] == "started" and said.object["steps"] == 0
    words = ["resume", said.object["id"], "--store", str(store), "--steps", "20", *HERE]
    assert spawned == [words]


def test_stop_asks_the_driver(type_in, stored):
    assert "is not running" in type_in("stop", stored["id"]).error
    with lock.Lock(Path(stored["path"])):
        assert type_in("stop", stored["id"]).status == 0
    assert (Path(stored["path"]) / "stop").exists()


# -- a request that cannot be fulfilled ------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("vmc --molecule LiHe", "unknown molecule 'LiHe'"),
        ("vmc --molecul LiH", "vmc has no field 'molecul'; did you mean 'molecule'?"),
        ("vmc --molecule LiH --spin 1", "spin"),
        ("vmc --molecule|Li 0 0 0; H 0 0 0", "nuclei"),
        ("vmc --walkers -5", "walkers"),
        ("vmc --walkers 1.5", "walkers='1.5': expected an int"),
        ("vmc --steps 0", "--steps"),
        ("vmc --steps 1.5", "--steps"),
        ("vmc --seed -1", "--seed"),
        ("vmc --workers 0", "--workers"),
        ("vmc --gpus -1", "--gpus"),
        ("vmc --molecule no/such/file.xyz", "no/such/file.xyz"),
        ("vmc --preset quik", "vmc has no preset 'quik'"),
        ("vmc --config no/such.yaml", "no/such.yaml cannot be read"),
        ("vmc --molecule", "requires an argument"),
        ("vmc LiH", "unexpected 'LiH'"),
        ("vcm", "unknown task 'vcm'; did you mean 'vmc'?"),
        ("no/such.py:Task", "no/such.py"),
        ("toys:Wlak", "toys:Wlak"),
        ("toys:Walk --sigma=-1", "sigma -1.0: expected a positive number"),
        ("toys:Walk --workers 2 --on here", "workers 2"),
        ("", "TASK"),
    ],
)
def test_mistakes_get_one_line_and_store_nothing(type_in, store, words, line):
    split = [w for part in words.split("|") for w in (part.split() or [""])]
    if "|" in words:
        split = [*words.split("|")[0].split(), words.split("|")[1]]
    said = type_in("run", *filter(None, split))
    assert said.status == 2 and line in said.error and said.out == ""
    assert not store.exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("rn vmc", "did you mean 'run'?"),
        ("resume", "RUN"),
        ("resume 0123", "no run '0123'"),
        ("extend 0123", "--steps"),
        ("show vcm", "did you mean 'vmc'?"),
        ("runs --stoer x", "did you mean '--store'?"),
        ("runs --task vcm", "did you mean 'vmc'?"),
        ("watch 0123", "no run '0123'"),
        ("export 0123", "--output"),
        ("check vcm", "did you mean 'vmc'?"),
    ],
)
def test_other_verbs_too(type_in, words, line):
    said = type_in(*words.split())
    assert said.status == 2 and line in said.error and said.out == ""


def test_json_also_tells_what_went_wrong(type_in):
    said = type_in("run", "vmc", "--molecul", "He", "--json")
    assert said.object == {"status": "error", "error": said.error} and said.status == 2


def test_a_store_that_cannot_be_written(type_in):
    said = type_in("run", WALK, *HERE, "--store", "/dev/null/x", "--json")
    assert said.status == 1 and "/dev/null/x is not writable" in said.error
    assert said.object["error"] == said.error


def test_a_busy_run_is_left_alone(type_in, stored):
    with lock.Lock(Path(stored["path"])):
        said = type_in("run", WALK, "--steps", "60", *HERE, "--json")
    assert said.status == 1 and "is driven by process" in said.error
    assert said.object["id"] == stored["id"]


def test_a_run_that_is_interrupted_says_how_to_go_on(type_in):
    timer = threading.Timer(0.7, _thread.interrupt_main)
    timer.start()
    said = type_in("run", "toys:Slow", *HERE, "--json")
    found = said.object
    assert said.status == 130 and found["status"] == "interrupted"
    steps = hs.open(found["id"], task=toys.Slow).steps
    assert f"goes on from step {steps}" in found["error"]
    assert f"heliostat resume {found['id']} --store" in found["error"]
    assert "--task toys:Slow" in found["error"] and "Traceback" not in said.err


def test_a_task_that_raises_ends_as_failed(type_in):
    said = type_in("run", "toys:Raises", *HERE, "--json")
    assert said.status == 1 and "the author's mistake" in said.object["error"]
    run = hs.open(said.object["id"])
    assert said.object["status"] == run.status == "failed" and run.steps == 6
    assert "Traceback" not in type_in("logs", run.id).out
    assert "ZeroDivisionError" in type_in("logs", run.id, "--full").out


# -- presets and files of fields -------------------------------------------------------


@pytest.fixture
def preset_task(tmp_path):
    """A task in a file, with presets beside it."""
    file, folder = tmp_path / "with_presets.py", tmp_path / "presets"
    file.write_text(Path(toys.__file__).read_text())
    folder.mkdir()
    (folder / "quick.yaml").write_text("sigma: 1e-3\nchains: 2\nsteps: 20\n")
    return f"{file}:Walk"


def test_typed_goes_before_file_before_preset(type_in, preset_task, tmp_path):
    plan = ("run", preset_task, "--dry-run", "--json")
    found = type_in(*plan, "--preset", "quick").object
    assert found["fields"] == {"sigma": 0.001, "chains": 2} and found["steps"] == 20
    file = tmp_path / "mine.yaml"
    file.write_text("chains: 3\nsteps: 30\n")
    words = ("--preset", "quick", "--config", str(file))
    found = type_in(*plan, *words).object
    assert found["fields"] == {"sigma": 0.001, "chains": 3} and found["steps"] == 30
    found = type_in(*plan, *words, "--chains", "4", "--steps", "10").object
    assert found["fields"] == {"sigma": 0.001, "chains": 4} and found["steps"] == 10
    assert "did you mean 'quick'?" in type_in(*plan[:2], "--preset", "quik").error
    assert "quick" in type_in("show", preset_task).out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("chainz: 3", "walk has no field 'chainz'; did you mean 'chains'?"),
        ("- 1", "expected a mapping"),
        ("a: [", "is no YAML"),
        ("steps: 0", "steps 0"),
        ("chains: 1.5", "chains=1.5: expected an int"),
    ],
)
def test_a_file_is_checked_like_what_is_typed(type_in, tmp_path, text, line):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert line in type_in("run", WALK, "--config", file, "--dry-run").error


def test_yaml_means_what_it_says(tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text("molecule: NO\nlr: 1e-3\nsmooth: true\nterms: 8\n")
    fields = {"molecule": "NO", "lr": 0.001, "smooth": True, "terms": 8}
    assert presets.read(file) == presets.Preset(fields, None)


# -- the fields of a task --------------------------------------------------------------


@dataclass(frozen=True)
class Kinds(hs.Task):
    """A field of every kind."""

    name: str = "LiH"  # text
    burn_in: int = 3  # a whole number
    rate: float = 0.1  # a number
    smooth: bool = False  # yes or no
    spin: int | None = None  # perhaps a whole number
    unit: str | None = "bohr"  # perhaps text
    sharp: bool | None = True  # perhaps yes or no
    kind: Literal["open_chain", "Closed"] = "open_chain"  # one of two
    level: Literal[1, 2] = 1  # one of two numbers
    layers: tuple[int, ...] = (16, 16)  # several whole numbers
    names: tuple[str, ...] = ()  # several texts
    pair: tuple[str, float] = ("a", 1.0)  # one of each
    geometry: hs.File | None = None  # a path


class Dumper(yaml.SafeDumper):
    """Quotes what our reader would take for a number."""

    yaml_implicit_resolvers = presets.Loader.yaml_implicit_resolvers


numbers = st.floats(allow_nan=False, allow_infinity=False)
kinds = st.builds(
    Kinds,
    name=st.text(),
    burn_in=st.integers(),
    rate=numbers,
    smooth=st.booleans(),
    spin=st.none() | st.integers(),
    unit=st.none() | st.text(),
    sharp=st.none() | st.booleans(),
    kind=st.sampled_from(["open_chain", "Closed"]),
    level=st.sampled_from([1, 2]),
    layers=st.lists(st.integers()).map(tuple),
    names=st.lists(st.text()).map(tuple),
    pair=st.tuples(st.text(), numbers),
    geometry=st.none() | st.text().map(hs.File),
)


@settings(deadline=None, max_examples=30)
@given(kinds)
def test_command_line_yaml_and_json_spell_the_same_task(task):
    fields = config.passed_fields(task)
    ways = [
        cli.parse_fields(Kinds, cli.to_argv(task)),
        yaml.load(yaml.dump(fields, Dumper=Dumper), Loader=presets.Loader),
        json.loads(json.dumps(fields)),
    ]
    assert [config.build(Kinds, way) for way in ways] == [task] * 3


def test_only_what_was_typed_is_a_field():
    assert cli.parse_fields(Kinds, []) == {} and cli.to_argv(Kinds()) == []
    words = (
        "--burn_in 5 --layers 1 -2 --smooth --no-spin --no-unit --none-sharp --names"
    )
    assert cli.parse_fields(Kinds, words.split()) == {
        "burn_in": 5,
        "layers": [1, -2],
        "smooth": True,
        "spin": None,
        "unit": None,
        "sharp": None,
        "names": (),
    }


def test_help_shows_every_field(type_in, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    shown = type_in("run", WALK, "--help").out
    assert "--sigma FLOAT" in shown and "size of a step [default: 1.0]" in shown
    assert "--store" in shown and "--dry-run" in shown
    shown = type_in("run", "vmc", "--help").out
    for name in config.fields_of(registry.find("vmc")):
        assert f"--{name.replace('_', '-')} " in shown


# -- as a process ----------------------------------------------------------------------


def python(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, **more
    )


def test_help_imports_nothing_heavy():
    code = """
        import sys
        from heliostat.cli import main
        assert main(["--help"]) == 0 and main(["run", "--help"]) == 0
        heavy = {"jax", "ray", "pyscf", "xarray", "zarr", "pandas", "numpy"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    done = python("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stderr


def test_here_is_pinned_and_stdout_is_pure(tmp_path):
    file = tmp_path / "pinned.py"
    file.write_text(
        textwrap.dedent("""
        import os
        from dataclasses import dataclass
        import heliostat as hs

        @dataclass(frozen=True)
        class Pinned(hs.Task):
            emits = {"cores": hs.Var((), "int32")}
            traced, steps = False, 1
            def init(self, key, replica, data):
                return {}
            def step(self, key, state, data):
                return {}, {"cores": len(os.sched_getaffinity(0))}
            def headline(self, rows):
                return {"cores": hs.Estimate(float(rows.cores[-1]))}
        """)
    )
    words = ["-m", "heliostat", "run", f"{file}:Pinned", "--on", "here", "--json"]
    done = python(*words, cwd=tmp_path)
    assert done.returncode == 0 and "Pinned" in done.stderr
    assert json.loads(done.stdout)["headline"]["cores"]["value"] == 1


def test_a_closed_pipe_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "heliostat", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert done.returncode in (0, 1) and done.stderr == ""


@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        (["--", "vmc"], ["run", "vmc", "--on", "auto"]),
        (["vmc", "--on=here"], ["run", "vmc", "--on=here"]),
    ],
)
def test_the_script_for_clusters_runs(monkeypatch, typed, passed):
    script = Path(__file__).parents[2] / "tasks" / "run.py"
    monkeypatch.setattr(sys, "argv", [str(script), *typed])
    monkeypatch.setattr(cli, "main", lambda words: words)
    assert runpy.run_path(str(script))["main"]() == passed
