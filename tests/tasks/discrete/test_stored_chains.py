"""A chain goes on from what its target gives now, or not at all."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.kernels.discrete.target import value
from heliostat_tasks.discrete import Discrete, task

SIZES = {"size": 6, "chains": 2, "warmup": 5}
DENSITY = """
from pathlib import Path
import os
import jax.numpy as jnp
import numpy as np
J = np.load(Path(__file__).parent / "J.npy")
def log_p(x):
    return float(os.environ["SCALE"]) * J @ x
"""


@pytest.fixture
def density(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALE", "1")
    (tmp_path / "density.py").write_text(DENSITY)
    np.save("J.npy", np.full(6, 3.0))
    return Discrete(target="density.py:log_p", **SIZES)


def _forget_programs():
    """Forget what this process has traced, as another process would not know it."""
    jax.clear_caches()
    task._model.cache_clear()
    task._kernel.cache_clear()


def run_here(discrete, steps=100, **options):
    return hs.run(discrete, steps=steps, on="here", progress=silent, **options)


@pytest.mark.slow
def test_changed_data_are_another_run_and_a_chain_of_others_is_not_extended(
    density, monkeypatch
):
    high = run_here(density)
    monkeypatch.setenv("SCALE", "2")  # what no identity can see: read by the function
    _forget_programs()
    other = Discrete(target="density.py:log_p", **SIZES)
    with pytest.raises(hs.RequestError, match=r"state of step 100 holds another") as e:
        run_here(other, steps=200)
    assert "\n" not in str(e.value) and high.reopen().steps == 100
    assert high.reopen().status == "complete"
    np.save("J.npy", np.full(6, -3.0))
    low = run_here(Discrete(target="density.py:log_p", **SIZES))
    assert low.id != high.id
    assert float(high.rows.lp[:, 50:].mean()) > 10 > 0 > float(low.rows.lp.mean())


@pytest.mark.slow
@pytest.mark.parametrize("rungs", [1, 2])
def test_a_child_with_other_fields_starts_from_its_own_log_p(rungs, tmp_path):
    fields = {"size": 3, "chains": 8, "warmup": 5, "rungs": rungs}
    parent = run_here(Discrete(coupling=0.2, **fields))
    discrete = Discrete(coupling=2.0, **fields)
    child = run_here(discrete, parent=parent)
    x = discrete.states(parent.observed).values[:, -1]
    start = jax.vmap(lambda one: value(discrete.model, one))(jnp.asarray(x))
    stayed = child.rows.hops.values[:, 0] == 0
    lp = child.rows.lp.values[:, 0]
    assert stayed.any() and np.allclose(lp[stayed], start[stayed], atol=1e-4)
