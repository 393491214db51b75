"""A job on a real cluster: a head with a token, sources uploaded, nothing installed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import nbformat
import pytest
from nbclient import NotebookClient

import heliostat as hs

ROOT = Path(__file__).resolve().parents[2]
RAY = (sys.executable, "-m", "ray.scripts.scripts")
SHIPPED = ("platform", "tasks", "pyproject.toml", "README.md", ".gitignore")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """An interpreter that has every dependency of heliostat, but not heliostat."""
    folder = tmp_path_factory.mktemp("bare")
    here = Path(sysconfig.get_path("purelib"))
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True
    )
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    for entry in here.iterdir():
        if "heliostat" not in entry.name and entry.suffix != ".pth":
            (dependencies / entry.name).symlink_to(entry)
    there = next((folder / "venv" / "lib").glob("python*/site-packages"))
    (there / "dependencies.pth").write_text(f"{dependencies}\n")
    return folder / "venv" / "bin" / "python"


@pytest.fixture(scope="module")
def cluster(bare_python):
    """Address of a head's dashboard, the environment of its client, its own address."""
    port, dashboard, agent, client = _free_ports(4)
    folder = Path(tempfile.mkdtemp(prefix="hs", dir="/tmp"))  # sockets need short names
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHON"))}
    env |= {
        "PATH": f"{bare_python.parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    log = (folder / "head.log").open("wb")
    head = subprocess.Popen(
        [
            *(bare_python, *RAY[1:], "start", "--head", "--block"),
            *("--num-cpus=2", "--disable-usage-stats", f"--temp-dir={folder / 'ray'}"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
            # the defaults of these are taken where another Ray runs on the machine
            *(f"--port={port}", f"--ray-client-server-port={client}"),
            f"--dashboard-agent-listen-port={agent}",
        ],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{dashboard}"
    try:
        _wait_for(address, env, head, folder / "head.log")
        yield address, env, f"127.0.0.1:{port}"
    finally:
        _end(head)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the sources alone, as another user has them."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    skip = shutil.ignore_patterns("__pycache__", "runs")
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=skip)
        else:
            shutil.copy(source, copy / name)
    return copy


def test_the_bare_interpreter_has_no_heliostat(bare_python):
    code = "import ray, jax, zarr, importlib.util as u; print(u.find_spec('heliostat'))"
    assert _output([bare_python, "-c", code]).strip() == "None"


def test_requests_without_the_token_are_refused(cluster):
    address, env, _ = cluster
    assert _status(address, env["RAY_AUTH_TOKEN"]) == 200
    assert _status(address, None) == 401
    assert _status(address, secrets.token_hex(32)) == 403


@pytest.mark.parametrize("token", ["", secrets.token_hex(32)], ids=["none", "wrong"])
def test_a_run_without_the_token_is_refused_in_one_line(cluster, token, tmp_path):
    *_, head = cluster
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    words = [
        "run",
        "vmc",
        "--preset",
        "quick",
        "--on",
        head,
        "--store",
        tmp_path / "store",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "heliostat", *words],
        env=env | ({"RAY_AUTH_TOKEN": token} if token else {}),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 2
    *progress, error = done.stderr.splitlines()
    assert len(progress) == 1 and "(it refuses the token, or wants one)" in error
    assert [*(tmp_path / "store").rglob("*")] == []


def test_a_submitted_job_leaves_a_run_that_is_found_here(cluster, checkout, tmp_path):
    address, env, _ = cluster
    store = tmp_path / "store"
    words = ["vmc", "--molecule", "He", "--preset", "quick", "--store", str(store)]
    said = _submit(address, env, checkout, "tasks/run.py", *words)
    assert "succeeded" in said, said
    table = hs.runs(task="vmc", store=store)
    assert list(table.status) == ["complete"]
    run = hs.open(table.id[0], store=store)
    assert run.rows.sizes["step"] == run.steps
    placed = [e for e in run.events() if e["event"] == "placed"]
    assert sum(len(e["pids"]) for e in placed) >= 1
    value, error, units, *_ = run.headline["energy"]
    assert units == "hartree"
    assert abs(value - -2.903724) < 0.02 + 5 * error  # hartree, exact
    asks = f"hs.runs(task='vmc', store={str(store)!r})"
    cell = f"import heliostat as hs\nprint({asks}.id[0])"
    assert _in_a_notebook(cell).strip() == run.id


def _in_a_notebook(cell: str) -> str:
    """Return the output of a cell in a kernel of its own."""
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(page, timeout=120, kernel_name="python3").execute()
    return "".join(output.text for output in page.cells[0].outputs)


def _submit(address: str, env: dict[str, str], folder: Path, *words: str) -> str:
    command = [*RAY, "job", "submit", "--address", address, "--working-dir", folder]
    deadline = time.monotonic() + 60
    while True:
        done = subprocess.run(
            [*command, "--", "python", *words],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )
        late = time.monotonic() > deadline
        if late or "No available agent" not in done.stdout:  # the head is still rising
            return done.stdout
        time.sleep(2)


def _output(command: list) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _status(address: str, token: str | None) -> int:
    """Return the HTTP status of the dashboard for a token; 0 without an answer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urlopen(
            Request(f"{address}/api/version", headers=headers), timeout=5
        ) as r:
            return r.status
    except HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def _wait_for(address: str, env: dict[str, str], head, log: Path) -> None:
    deadline = time.monotonic() + 150
    while _status(address, env["RAY_AUTH_TOKEN"]) != 200:
        if head.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the head did not rise: {log.read_text()[-3000:]}")
        time.sleep(0.5)


def _end(head: subprocess.Popen) -> None:
    """End the head, which ends its children; then whatever of its group is left."""
    head.terminate()
    with suppress(subprocess.TimeoutExpired):
        head.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGKILL)
    head.wait(10)
