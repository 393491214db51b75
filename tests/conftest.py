"""Strict settings for all tests: no rank promotion, checked shapes, a private Ray."""

from __future__ import annotations

import os
import shutil
import signal

from heliostat.system.compilation import enable_compilation_cache
from heliostat.system.device import authenticate_ray

os.environ.pop("RAY_ADDRESS", None)
os.environ["JAX_PLATFORMS"] = "cpu"
# most programs here run for less time than XLA takes to optimise them; the slow and
# nightly tests and the notebooks of .ci run optimised ones, as users do
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1":
    # XLA's older code for fusions compiles in half the time
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
# a shell's background job ignores Ctrl-C, and so would all that it starts
signal.signal(signal.SIGINT, signal.default_int_handler)
authenticate_ray("local")  # before anything imports ray

CHECKED = [
    "heliostat.kernels",
    "heliostat_tasks.bilevel.inner_solvers",
    "heliostat_tasks.bilevel.measures",
    "heliostat_tasks.bilevel.policies",
    "heliostat_tasks.bilevel.problems",
    "heliostat_tasks.bilevel.retraining",
    "heliostat_tasks.discrete.chain",
    "heliostat_tasks.discrete.couplings",
    "heliostat_tasks.discrete.measures",
    "heliostat_tasks.discrete.targets",
    "heliostat_tasks.games.compare",
    "heliostat_tasks.games.measures",
    "heliostat_tasks.games.methods",
    "heliostat_tasks.games.problems",
    "heliostat_tasks.games.theory",
    "heliostat_tasks.learn.annealing",
    "heliostat_tasks.learn.chains",
    "heliostat_tasks.learn.data",
    "heliostat_tasks.learn.evaluation",
    "heliostat_tasks.learn.lattice",
    "heliostat_tasks.learn.loaders",
    "heliostat_tasks.learn.measures",
    "heliostat_tasks.learn.models",
    "heliostat_tasks.learn.training",
    "heliostat_tasks.learn.updates",
    "heliostat_tasks.preferences.regression",
    "heliostat_tasks.provenance.corpus",
    "heliostat_tasks.provenance.models",
    "heliostat_tasks.provenance.prg",
    "heliostat_tasks.provenance.verify.comparison",
    "heliostat_tasks.provenance.verify.distances",
    "heliostat_tasks.provenance.verify.memorisation",
    "heliostat_tasks.vmc.density",
    "heliostat_tasks.vmc.hamiltonian",
    "heliostat_tasks.vmc.initial_positions",
    "heliostat_tasks.vmc.parents",
    "heliostat_tasks.vmc.phases",
    "heliostat_tasks.vmc.pretraining",
    "heliostat_tasks.vmc.rows",
    "heliostat_tasks.vmc.trainer",
    "heliostat_tasks.vmc.training",
    "heliostat_tasks.vmc.wavefunction",
]
"""Packages whose annotations of arrays are checked at each call; the numeric modules
of a task join here.  Ray's workers and the command line run without the checks."""

from jaxtyping import install_import_hook  # noqa: E402
from support import type_checker  # noqa: E402, F401

install_import_hook(CHECKED, "support.type_checker.check")  # before their first import

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from support import toy_tasks  # noqa: E402

import heliostat as hs  # noqa: E402
from heliostat.driver.progress import silent  # noqa: E402

enable_compilation_cache()  # many tests compile what others did, or did the last time
jax.config.update("jax_numpy_rank_promotion", "raise")
# no test depends on wall time: a busy machine is no failure
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch):
    """No test writes into anybody's store."""
    monkeypatch.setenv("HELIOSTAT_STORE", str(tmp_path / "store"))


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    """A complete run of ``toy_tasks.Walk``: to look at, not to touch."""
    store = tmp_path_factory.mktemp("walk")
    return hs.run(toy_tasks.Walk(), on="here", store=store, progress=silent)


@pytest.fixture
def copied(walk):
    """``copied(store)``: that run in a store of its own, to be spoilt."""

    def copy(store):
        shutil.copytree(walk.path, store / "walk" / walk.id)
        return hs.open(walk.id, store=store, task=toy_tasks.Walk)

    return copy


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def fleet_ray():
    """One private Ray for all fleet tests: four logical cores and two fake GPUs."""
    import logging

    import ray

    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=200_000_000,
    )
    yield ray
    ray.shutdown()
