"""A process that computes itself is settled as a worker is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from heliostat.system.device import GPU_FLAGS

CODE = """
import os
from heliostat.system import device
{settled}
import jax  # noqa: E402
flags = os.environ.get("XLA_FLAGS", "")
print(flags, jax.default_backend(), device.xla_threads(), sep="|")
"""


@pytest.mark.parametrize(
    ("settled", "flags"),
    [
        ("device.single_thread_xla()", ""),
        ("device.single_thread_xla(0)", ""),
        ("device.single_thread_xla(2)", GPU_FLAGS),
        ("device.configure_process((), 2); device.single_thread_xla(2)", GPU_FLAGS),
    ],
)
def test_flags_that_make_sums_repeat_are_set_once_and_for_gpus_alone(settled, flags):
    """JAX may use CPUs alone here; what it would be told with GPUs is the same."""
    env = os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(settled=settled)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"{flags}|cpu|1\n", done.stderr
