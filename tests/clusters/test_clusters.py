"""Launcher files pass Ray's schema, ask for a token and open nothing to the world."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "clusters"
FILES = sorted(FOLDER.glob("*.yaml"))
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def launcher(request):
    return yaml.safe_load(request.param.read_text())


def test_laptop_and_aws_launchers_exist():
    assert {"laptop", "aws-gpu"} <= {path.stem for path in FILES}


def test_launcher_passes_rays_schema(launcher):
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(launcher))


@pytest.mark.parametrize("key", STARTS)
def test_every_start_asks_for_a_token(launcher, key):
    starts = [command for command in launcher[key] if "ray start" in command]
    assert len(starts) == 1
    assert "RAY_AUTH_MODE=token ray start" in starts[0]


def test_the_token_is_copied_to_every_machine(launcher):
    assert launcher["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_the_dashboard_stays_on_loopback(launcher):
    head = " ".join(launcher["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in shlex.split(head)


def test_the_code_is_mounted_and_installed(launcher):
    assert launcher["file_mounts"]["~/heliostat"] == "."
    assert any("pip install" in c and "-e" in c for c in launcher["setup_commands"])


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_file_binds_all_interfaces(path):
    assert "0.0.0.0" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rays_schema_refuses_a_misspelt_key(path):
    from ray.autoscaler._private.util import prepare_config, validate_config

    wrong = yaml.safe_load(path.read_text()) | {"max_worker": 1}
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(wrong))
