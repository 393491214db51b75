"""No Ray to compute on: one line with advice, exit status 2, and nothing is stored."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import toy_tasks

from heliostat.errors import RayUnavailable
from heliostat.fleet import cluster

STROLL = f"{toy_tasks.__file__}:Stroll"


@pytest.fixture
def web_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:{}", "http://127.0.0.1:{}/", "ray://127.0.0.1:{}"]
)
def test_the_address_of_a_dashboard_is_named(web_server, address, capfd):
    address = address.format(web_server)
    with pytest.raises(RayUnavailable) as caught:
        cluster.check_reachable(address)
    assert str(caught.value).startswith(
        f"--on {address}: no Ray cluster answers (a web"
    )
    assert "expected HOST:PORT of its head" in str(caught.value)


def test_an_address_that_nobody_listens_on_is_named():
    with pytest.raises(RayUnavailable, match=r"answers \(.*refused\); expected HOST"):
        cluster.check_reachable("127.0.0.1:9")


def heliostat(*words):
    """Call the command line on a machine where Ray has no time to start."""
    return subprocess.run(
        [sys.executable, "-m", "heliostat", *words],
        env=os.environ | {"RAY_gcs_server_port_wait_time_s": "0"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.slow
def test_a_ray_that_does_not_start_in_time_is_one_line(tmp_path):
    store = tmp_path / "store"
    done = heliostat("run", STROLL, "--store", store)
    assert done.returncode == 2
    *progress, error = done.stderr.splitlines()
    assert len(progress) == 1 and not done.stdout  # the first line of the status
    assert error.startswith("heliostat: error: Ray does not start on this machine (Ti")
    assert error.endswith("try again, or compute without Ray: --on here")
    assert [*store.rglob("*")] == []


@pytest.mark.slow
def test_a_law_that_could_not_be_tried_is_not_broken():
    done = heliostat("check", STROLL)
    assert done.returncode == 3
    assert "open    workers do not matter: INCONCLUSIVE: Ray does not" in done.stdout
    assert "broken" not in done.stdout
