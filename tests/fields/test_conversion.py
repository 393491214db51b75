"""Arguments of tasks, as a person types them in Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import heliostat as hs
from heliostat.config import specify


@dataclass(frozen=True)
class Typed(hs.Task):
    rate: float = 1.0
    count: int = 2
    flag: bool = False
    layers: tuple[int, ...] = (16,)
    word: Literal["cold", "warm"] | hs.Code = "cold"
    name: str = ""
    table: hs.File | None = None

    def __post_init__(self):
        assert type(self.rate) is float and type(self.count) is int


def density(x):
    return -x


@pytest.mark.parametrize("number", [np.float32, np.float64, np.array, jnp.array])
def test_scalars_of_arrays_are_numbers(number):
    """Numpy's, JAX's and xarray's; the run is that of the plain number."""
    task = Typed(rate=number(0.5), count=np.int64(3), flag=np.bool_(True))
    assert (task.rate, task.count, task.flag) == (0.5, 3, True)
    assert task == Typed(rate=xr.DataArray(0.5), count=3, flag=True)
    assert specify(task).id == specify(Typed(0.5, 3, True)).id


def test_whole_numbers_are_floats_and_lists_are_tuples():
    for layers in ([16, 8], (16, 8), np.array([16, 8])):
        assert Typed(rate=1, layers=layers) == Typed(1.0, layers=(16, 8))
    assert type(replace(Typed(), rate=2).rate) is float


def test_files_are_text_or_paths(tmp_path):
    file = tmp_path / "table.csv"
    for spelling in (str(file), file, hs.File(file)):
        table = Typed(table=spelling).table
        assert type(table) is hs.File and table.path == file
    assert Typed(name=Path("a.xyz")).name == "a.xyz"
    (tmp_path / "code.py").write_text("def f(x): return x")
    assert Typed(word=f"{tmp_path}/code.py:f").word.load()(3) == 3


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("count", 0.5, "count=0.5: expected an int"),
        ("count", True, "count=True: expected an int"),
        ("rate", "fast", "rate='fast': expected a float"),
        ("rate", float("nan"), "rate=nan: expected a finite number"),
        ("layers", 16, "layers=16: expected a tuple"),
        ("layers", [16, 0.5], "layers=0.5: expected an int"),
        ("word", "colt", "word='colt': expected one of cold, warm; did you mean"),
        ("word", density, "word=function density: expected FILE.py:NAME, as word='"),
        ("word", hs.Task, "expected"),
        ("word", partial(density), "as word='log_p.py:log_p'"),
        ("word", np, "<module 'numpy'"),
        ("table", np.eye(3), "(3, 3): expected the path of a file; write np.save("),
        ("table", np.eye(3).tolist(), "expected a file"),
        ("name", b"x", "name=b'x': expected a str"),
        ("cuont", 3, "Typed has no field 'cuont'; did you mean 'count'?"),
    ],
)
def test_a_wrong_value_is_refused_where_it_is_typed(field, value, line):
    with pytest.raises(hs.RequestError) as error:
        Typed(**{field: value})
    assert line in str(error.value) and "\n" not in str(error.value)


def test_too_many_and_missing_arguments_are_refused_in_one_line():
    @dataclass(frozen=True)
    class Needs(hs.Task):
        sites: int

    with pytest.raises(hs.RequestError, match="Needs: missing a required argument"):
        Needs()
    with pytest.raises(hs.RequestError, match="Needs: too many positional"):
        Needs(1, 2)


def test_a_function_of_a_file_is_named_with_its_file():
    with pytest.raises(hs.RequestError) as error:
        Typed(word=density)
    address = str(error.value).rpartition("word=")[2].strip("'")
    assert Typed(word=address).word.load()(1) == -1


def test_classes_of_tasks_may_be_abstract():
    class Described(ABC):
        @abstractmethod
        def describe(self): ...

    @dataclass(frozen=True)
    class Incomplete(hs.Task, Described): ...

    with pytest.raises(TypeError, match="abstract"):
        Incomplete()


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (Typed, "Typed is a class: expected a task, such as Typed()"),
        ("vmc", "expected a task, VMC(), after from heliostat_tasks.vmc import VMC"),
        ("vcm", "unknown task 'vcm'; did you mean 'vmc'?"),
        (density, "expected a task, got <function density"),
    ],
)
def test_verbs_expect_a_task(task, line):
    calls = [
        lambda: hs.run(task),
        lambda: hs.start(task),
        lambda: hs.sweep(task, over={"rate": [1.0]}),
        lambda: hs.check_task(task),
    ]
    for call in calls:
        with pytest.raises(hs.RequestError) as error:
            call()
        assert line in str(error.value)
