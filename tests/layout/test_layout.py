"""Layout of the checkout: top-level folders, light imports, the README's commands."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import heliostat as hs

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "clusters", "notebooks", "platform", "tasks", "tests")


def _python(code: str, **env: str) -> str:
    """Return the output of a fresh interpreter at the root of the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_top_level_folder_is_no_package(folder):
    """``platform/__init__.py`` would hide the standard library's ``platform``."""
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()


def test_platform_holds_no_modules():
    assert not list((ROOT / "platform").glob("*.py"))


def test_the_standard_library_keeps_its_platform_module():
    code = "import platform; print(platform.system(), platform.__file__)"
    system, file = _python(code, PYTHONPATH=str(ROOT)).split(maxsplit=1)
    assert system
    assert not Path(file.strip()).is_relative_to(ROOT)


def test_importing_heliostat_imports_neither_ray_nor_pyscf():
    heavy = "{'ray', 'pyscf', 'jax', 'matplotlib'}"
    code = f"import sys, heliostat; print(sorted({heavy} & set(sys.modules)))"
    assert _python(code).strip() == "[]"


@pytest.mark.parametrize("name", hs.__all__)
def test_every_public_name_resolves(name):
    """A module with the name of a verb would replace the verb."""
    assert not isinstance(getattr(hs, name), type(sys))
    assert name in dir(hs)


def test_no_task_imports_ray_or_zarr():
    """This is the law of the import contracts, also for scripts beside the package."""
    guilty = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tasks").rglob("*.py")
        if {"ray", "zarr"} & _imported(path)
    ]
    assert guilty == []


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).partition(".")[0])
    return names


def test_the_readme_begins_with_the_two_commands():
    lines = (ROOT / "README.md").read_text().splitlines()
    code, inside = [], False
    for line in lines:
        if line.startswith("```"):
            inside = not inside
        elif inside and line.strip():
            code.append(line)
    assert code[:2] == [
        "python -m pip install -e . && heliostat run vmc --molecule LiH",
        'python -m pip install -e ".[test]" && pytest',
    ]
