"""A process that computes a run itself is configured like a worker."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from heliostat.system.device import GPU_FLAGS

CODE = """
import os
from heliostat.system import device
{configured}
import jax  # noqa: E402
flags = os.environ.get("XLA_FLAGS", "")
print(flags, jax.default_backend(), device.xla_threads(), sep="|")
"""


@pytest.mark.parametrize(
    ("configured", "flags"),
    [
        ("device.single_thread_xla()", ""),
        ("device.single_thread_xla(0)", ""),
        ("device.single_thread_xla(2)", GPU_FLAGS),
        ("device.configure_process((), 2); device.single_thread_xla(2)", GPU_FLAGS),
    ],
)
def test_flags_for_deterministic_sums_are_set_once_and_only_for_gpus(configured, flags):
    """The flags for GPUs are tested on CPUs: JAX may use only CPUs here."""
    env = os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(configured=configured)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == f"{flags}|cpu|1\n", result.stderr
