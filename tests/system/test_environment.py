"""The commit of the sources, whether they differ from it, and what decides on bits."""

from __future__ import annotations

import subprocess

import jax
import pytest

from heliostat.system.environment import fingerprint, git_state

AUTHOR = ("-c", "user.name=A", "-c", "user.email=a@example.org")


@pytest.fixture
def checkout(tmp_path):
    def git(*args):
        command = ["git", "-C", str(tmp_path), *AUTHOR, *args]
        subprocess.run(command, check=True, capture_output=True)

    (tmp_path / "tests").mkdir()
    for name in ("a.py", "README.md", "tests/test_a.py"):
        (tmp_path / name).write_text("1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "dirty"),
    [
        ("energy.png", False),
        ("new.py", False),
        ("README.md", False),
        ("tests/test_a.py", False),
        ("a.py", True),
    ],
)
def test_only_tracked_sources_make_a_checkout_dirty(file, dirty, checkout):
    clean = git_state(checkout / "a.py")
    (checkout / file).write_text("2\n")
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    assert git_state(checkout / "a.py") == clean | {"dirty": dirty}


def test_a_package_that_is_installed_inside_a_checkout_has_no_commit(checkout):
    (checkout / "installed.py").write_text("1\n")
    assert git_state(checkout / "installed.py") == {}


def test_how_xla_compiles_is_in_the_fingerprint(monkeypatch):
    now = fingerprint.__wrapped__
    before = {now()}
    unoptimised = jax.config.read("jax_disable_most_optimizations")
    try:
        jax.config.update("jax_disable_most_optimizations", not unoptimised)
        before.add(now())
    finally:
        jax.config.update("jax_disable_most_optimizations", unoptimised)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert len(before | {now()}) == 3
