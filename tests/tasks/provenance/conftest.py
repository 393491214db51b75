"""An honest transcript, and an audit of it."""

from __future__ import annotations

import shutil

import pytest
from support.trainings import TASK

from heliostat_tasks.provenance import verbs
from heliostat_tasks.provenance.transcript.signing import load_key
from heliostat_tasks.provenance.verify.audit import audit
from heliostat_tasks.provenance.verify.findings import AuditPolicy, ReplayPlace


@pytest.fixture(scope="session", autouse=True)
def keys(tmp_path_factory):
    """No test uses anybody's keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HELIOSTAT_KEYS", str(tmp_path_factory.mktemp("keys")))
        yield


@pytest.fixture(scope="session")
def trained(keys, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    verbs.train(TASK, out=out / "honest", store=str(out / "store"), on="here")
    return out / "honest"


@pytest.fixture(scope="session")
def trained_by_worker(fleet_ray, keys, tmp_path_factory):
    out = tmp_path_factory.mktemp("worker")
    verbs.train(TASK, out=out / "honest", store=str(out / "store"), gpus=0)
    return out / "honest"


@pytest.fixture
def workers_own(trained_by_worker, tmp_path):
    """The same of a worker, in whose environment other workers replay."""
    return shutil.copytree(trained_by_worker, tmp_path / "transcript")


@pytest.fixture
def honest(trained, tmp_path):
    """A copy of the transcript that a test may change."""
    return shutil.copytree(trained, tmp_path / "transcript")


@pytest.fixture
def judge(tmp_path):
    """Audit a transcript under a verifier's own policy, by default in this process."""

    def judged(folder, on="here", workers=None, **policy):
        fields = {"issuers": (load_key("verifier").name,), "points": 0} | policy
        return audit(
            folder, tmp_path / "work", AuditPolicy(**fields), ReplayPlace(on, workers)
        )

    return judged
