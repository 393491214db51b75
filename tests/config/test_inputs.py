"""Identity of users' files: all that one reads or draws while it is executed."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import linecache
import os
import sys
from dataclasses import dataclass
from types import ModuleType

import h5py
import numpy as np
import pytest
from support import toy_tasks

import heliostat as hs
from heliostat import config
from heliostat.config import registry, source
from heliostat.driver.progress import silent
from heliostat.loop.run import Loop

HEAD = "from pathlib import Path\nimport numpy as np\nBESIDE = Path(__file__).parent\n"
RULE = "def rule(x): return J.sum() * x\n"

READERS = {
    "array": "J = np.load(BESIDE / 'J.npy')\n",
    "mapped": "J = np.load(BESIDE / 'J.npy', mmap_mode='r')\n",
    "text": "J = np.loadtxt(str(BESIDE / 'J.txt'))\n",
    "in a function": "def read(): return np.load(BESIDE / 'J.npy')\nJ = read()\n",
    "from the working folder": "J = np.loadtxt('J.txt')\n",
    "in C": "import h5py\nwith h5py.File(BESIDE / 'J.h5') as f: J = f['J'][:]\n",
}

FIXED = {
    "constant": "J = np.ones(3)\n",
    "seeded": "J = np.random.default_rng(0).normal(size=3)\n",
    "unused": "t = np.random.normal()\nJ = np.ones(3)\n",
    "clock for show": "import time\nt = time.time()\nJ = np.ones(3)\n",
    "a setting": "import os\nos.environ.setdefault('MINE', '1')\nJ = np.ones(3)\n",
    "written": "(BESIDE / 'log.txt').write_text('x')\nJ = np.ones(3)\n",
}

DRAWN = {
    "unseeded": "J = np.random.normal(size=3)\n",
    "generator": "J = np.random.default_rng()\n",
    "in a closure": "def f(a): return lambda: a\nJ = f(np.random.normal())\n",
    "in an object": "class A:\n  def __init__(s): s.a = np.random.normal()\nJ = A()\n",
    "of a class": "class J:\n  a = np.random.normal()\n",
    "default": "def J(a=np.random.normal()): return a\n",
    "by a clock": "import time\nJ = np.arange(int(time.time()) % 1000)\n",
    "in the environment": "import os\nJ = np.ones(int(os.getenv('MINE', '1')))\n",
    "required there": "import os\nJ = np.ones(int(os.environ['MINE']))\n",
    "in a name": "import uuid\nJ = uuid.uuid4()\n",
}

FORMS = {
    "if": ("if True:\n    def rule(x): return x\n", "rule"),
    "try": ("try:\n    import none\nexcept ImportError:\n    rule = abs\n", "rule"),
    "import": ("from math import exp as rule\n", "rule"),
    "star": ("from math import *\n", "exp"),
    "static": ("class M:\n    @staticmethod\n    def rule(x): return x\n", "M.rule"),
    "object": ("class M:\n    def f(s, x): return x\nm = M()\n", "m.f"),
    "jitted": ("import jax\n@jax.jit\ndef rule(x): return x\n", "rule"),
    "loop": ("for rule in [abs]: pass\n", "rule"),
}


def write_data(folder, value):
    np.save(folder / "J.npy", np.full(3, float(value)))
    np.savetxt(folder / "J.txt", np.full(3, float(value)))
    with h5py.File(folder / "J.h5", "w") as file:
        file["J"] = np.full(3, float(value))
    for file in folder.glob("J.*"):
        os.utime(file, (0, 0))  # not written just now


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE", "3")
    write_data(tmp_path, 1)
    return tmp_path


def code(folder, text, name="rule"):
    (folder / "mine.py").write_text(text)
    return hs.Code(f"mine.py:{name}")


def run_here(task, **options):
    return hs.run(task, on="here", progress=silent, **options)


@pytest.mark.parametrize("reader", READERS)
def test_data_that_code_reads_belong_to_its_digest(reader, folder):
    text, references = HEAD + READERS[reader] + RULE, []
    for value in (1, 2, 1):
        write_data(folder, value)
        read = code(folder, text)
        references.append(read.reference)
        assert read.load()(1.0) == 3 * value
    assert references[0] == references[2] != references[1]


LISTED = {
    "a listing": "import os\nJ = np.ones(len(os.listdir(BESIDE)))\n",
    "a pattern": "J = np.array([len(list(BESIDE.glob('*.txt')))])\n",
    "a program": "import subprocess\nJ = np.ones(len(subprocess.check_output('ls')))\n",
    "an argument": "import sys\nJ = np.ones(len(sys.argv))\n",
}


@pytest.mark.parametrize("case", LISTED)
def test_what_no_opened_file_shows_belongs_to_the_digest(case, folder, monkeypatch):
    before = code(folder, HEAD + LISTED[case] + RULE).reference
    assert code(folder, HEAD + LISTED[case] + RULE).reference == before
    (folder / "more.txt").touch()
    monkeypatch.setattr(sys, "argv", ["mine", "more"])
    assert code(folder, HEAD + LISTED[case] + RULE).reference != before


def test_files_count_by_content_and_name_wherever_they_are(folder):
    text = (
        HEAD + "J = np.stack([np.load(BESIDE / f'{n}/J.npy') for n in 'ab'])\n" + RULE
    )
    references = []
    for first, second in ((1, 2), (2, 1)):
        for name, value in (("a", first), ("b", second)):
            (folder / name).mkdir(exist_ok=True)
            write_data(folder / name, value)
        references.append(code(folder, text).reference)
    assert references[0] != references[1]


@pytest.mark.parametrize("case", FIXED)
def test_code_that_reads_nothing_is_identified_by_its_text_alone(case, folder):
    text = HEAD + FIXED[case] + RULE
    hexadecimal = hashlib.sha256(text.encode()).hexdigest()
    assert code(folder, text).reference == f"sha256:{hexadecimal}:rule"
    assert os.environ["MINE"] == "3"


@pytest.mark.parametrize("case", DRAWN)
def test_code_that_its_text_does_not_fix_is_refused_and_stores_nothing(case, folder):
    task = toy_tasks.Coded(code(folder, HEAD + DRAWN[case] + "def rule(x): return J\n"))
    with pytest.raises(hs.RequestError, match="executed again") as caught:
        run_here(task)
    with pytest.raises(hs.RequestError, match="executed again"):
        config.specify(task)
    assert "\n" not in str(caught.value) and hs.runs().empty


def test_data_that_change_before_the_code_is_loaded_are_refused(folder):
    read = code(folder, HEAD + READERS["array"] + RULE)
    assert read.reference
    write_data(folder, 2)
    with pytest.raises(hs.RequestError, match=r"\(J.npy\) have changed"):
        read.load()


def test_data_that_a_function_reads_when_it_is_called_are_refused(folder):
    rule = code(folder, HEAD + "def rule(x): return np.load(BESIDE / 'J.npy') @ x\n")
    with pytest.raises(hs.RequestError, match=r"reads J.npy when it is called"):
        rule.load()(np.ones(3))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_definition_is_loaded(form, folder):
    text, name = FORMS[form]
    assert code(folder, text, name).load()(1.0) in (1.0, np.exp(1.0))


def test_a_dotted_name_that_is_missing_is_refused_in_one_line(folder):
    with pytest.raises(hs.RequestError, match="'M' has no attribute 'role'"):
        code(folder, FORMS["static"][0], "M.role").load()


TASK = (
    HEAD
    + """
from dataclasses import dataclass
import heliostat as hs
{J}
@dataclass(frozen=True)
class Drift(hs.Task):
    rate: float = 1.0
    emits = {{"x": hs.Var()}}
    traced, stride, steps = False, 1, 2
    def init(self, key, replica, data): return 0.0
    def step(self, key, state, data):
        x = state + float(J.sum())
        return x, {{"x": x}}
"""
)


def drift(folder, J):
    (folder / "drift.py").write_text(TASK.format(J=J))
    return registry.load_task(str(folder / "drift.py") + ":Drift")


def test_data_that_a_file_of_a_task_reads_belong_to_its_identity(folder):
    ids, last = [], []
    for value in (1, 2, 1):
        write_data(folder, value)
        run = run_here(drift(folder, READERS["array"])())
        ids.append(run.id)
        last.append(float(run.rows.x[-1]))
    assert ids[0] == ids[2] != ids[1] and last == [6.0, 12.0, 6.0]
    write_data(folder, 2)
    with pytest.raises(hs.RequestError, match="its source, or data that"):
        hs.extend(ids[0], steps=4, on="here", task=drift(folder, READERS["array"]))


def test_a_file_of_a_task_that_reads_nothing_is_identified_by_its_text_alone(folder):
    text = TASK.format(J=FIXED["seeded"])
    digest = source.source_digest(drift(folder, FIXED["seeded"]))
    assert digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("case", ["unseeded", "in the environment"])
def test_a_file_of_a_task_that_its_text_does_not_fix_is_refused(case, folder):
    with pytest.raises(hs.RequestError, match=r"drift.py: J differs when the file is"):
        run_here(drift(folder, DRAWN[case])())
    assert hs.runs().empty


def test_a_file_of_a_task_may_not_import_its_neighbours(folder):
    (folder / "neighbour.py").write_text("J = 1\n")
    path = "import sys\nsys.path.insert(0, str(BESIDE))\nfrom neighbour import J\n"
    with pytest.raises(hs.RequestError, match=r"imports neighbour.py beside it"):
        drift(folder, path)


@dataclass(frozen=True)
class Reader(toy_tasks.Stroll):
    """A task that reads a file in ``prepare``: a field of it, or one that it knows."""

    data: hs.File | None = None  # the file
    known: str = ""  # a path that does not define the content

    def prepare(self):
        return np.loadtxt(self.data.path if self.data else self.known)


def test_prepare_reads_only_files_that_fields_name(folder):
    loop = Loop(Reader(data=hs.File("J.txt")), seed=0)
    assert loop.data.tolist() == [1.0] * 3
    with pytest.raises(hs.RequestError, match=r"reads J.txt .* field of type hs.File"):
        run_here(Reader(known="J.txt"))
    assert hs.runs().empty


@pytest.fixture
def script(folder, monkeypatch):
    """Function that runs a script as Python does, and returns its task."""
    monkeypatch.syspath_prepend(folder)

    def run(J):
        file = folder / "script.py"
        file.write_text(TASK.format(J=J))
        sys.modules.pop("neighbour", None)
        spec = importlib.util.spec_from_file_location("__main__", file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "__main__", module)
        exec(compile(file.read_text(), file, "exec"), vars(module))
        return module.Drift

    return run


def test_data_that_a_script_reads_belong_to_its_identity(folder, script):
    digests = []
    for value in (1, 2, 1):
        write_data(folder, value)
        digests.append(source.source_digest(script(READERS["array"])))
    assert digests[0] == digests[2] != digests[1]
    text = TASK.format(J=FIXED["seeded"])
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert source.source_digest(script(FIXED["seeded"])) == digest


def test_a_run_of_a_script_is_continued_as_a_file_of_a_task(folder, script):
    run = run_here(script(READERS["array"])(), steps=2)
    cls = registry.load_task("script.py:Drift")
    longer = hs.extend(run.id, steps=4, on="here", task=cls, progress=False)
    assert longer.steps == 4 and len(hs.runs()) == 1
    write_data(folder, 2)
    with pytest.raises(hs.RequestError, match="data that the source reads"):
        hs.open(run.id, task="script.py:Drift").task  # noqa: B018


def test_an_imported_task_is_the_one_in_a_file(folder, monkeypatch):
    """Words of reading in a step that does not run at import change nothing."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(sys.modules, "imported", None)
    text = TASK.format(J="len('exists')")
    (folder / "imported.py").write_text(text)
    sys.modules.pop("imported")
    cls = importlib.import_module("imported").Drift
    in_file = registry.load_task("imported.py:Drift")
    assert source.source_digest(cls) == source.source_digest(in_file)


@pytest.mark.parametrize("line", ["from neighbour import J", "import neighbour as J"])
def test_modules_beside_a_script_belong_to_its_identity(
    line, folder, script, monkeypatch
):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    digests = []
    for value in ("1", "22", "1"):
        (folder / "neighbour.py").write_text(f"def J(): return {value}\n")
        importlib.invalidate_caches()
        digests.append(source.source_digest(script(line)))
    assert digests[0] == digests[2] != digests[1]


NOTEBOOK = """
from dataclasses import dataclass
from functools import cache
import numpy as np
import heliostat as hs
J = {J}
@cache
def half(x): return x / {two}
class Rule:
    def twice(self, x): return x * {two}
@dataclass(frozen=True)
class Drift(hs.Task):
    emits = {{"x": hs.Var()}}
    def step(self, key, state, data): return half(J), Rule().twice(state)
"""


def test_values_functions_and_classes_of_a_notebook_count_in_full(monkeypatch):
    def digest(cell, **changes):
        text = NOTEBOOK.format(**{"J": "np.ones(5000)", "two": 2} | changes)
        name, space = f"<cell {cell}>", {"__name__": "notebook"}
        lines = (len(text), None, text.splitlines(keepends=True), name)
        monkeypatch.setitem(linecache.cache, name, lines)
        monkeypatch.setitem(sys.modules, "notebook", ModuleType("notebook"))
        exec(compile(text, name, "exec"), space)
        return source.source_digest(space["Drift"])

    elided = "np.r_[np.ones(2500), 2, np.ones(2499)]"
    digests = [
        digest(0),
        digest(1, J=elided),  # repr shows its ends only
        digest(2, J="np.ones(3) + 1e-12"),  # repr rounds
        digest(3, J="np.ones(3)"),
        digest(4, two=3),
    ]
    assert digest(5) == digests[0] and len(set(digests)) == 5
