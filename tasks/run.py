"""``heliostat run`` on a cluster that has these sources, whether installed or not.

    ray submit clusters/X.yaml tasks/run.py -- vmc --molecule LiH
    ray job submit --working-dir . -- python tasks/run.py vmc --preset quick

Unless ``--on`` says otherwise, the run goes to the cluster that this script is on; and
unless ``--store`` or ``$HELIOSTAT_STORE`` do, the result to ``~/runs`` there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path


def import_from_here() -> None:
    """Both packages of this checkout importable, here and in children."""
    root = Path(__file__).resolve().parents[1]
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    places = [str(root / "platform"), str(root / "tasks"), _metadata(root)]
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *before])
    sys.path[:0] = places


def _metadata(root: Path) -> str:
    """A folder that tells ``importlib.metadata`` which tasks the checkout has."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    folder = tempfile.mkdtemp(prefix="heliostat-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    about = Path(folder, f"heliostat-{project['version']}.dist-info")
    about.mkdir()
    names = f"Name: heliostat\nVersion: {project['version']}\n"
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\n{names}")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in tasks.items())
        for group, tasks in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not any(word.partition("=")[0] == "--on" for word in words):
        words += ["--on", "auto"]
    if not any(word.partition("=")[0] == "--store" for word in words):
        # the folder that a job is unpacked into is deleted in the end
        os.environ.setdefault("HELIOSTAT_STORE", str(Path.home() / "runs"))
    if (Path(__file__).resolve().parents[1] / "platform" / "heliostat").is_dir():
        import_from_here()  # what was sent along comes before what is installed
    from heliostat.cli import main as heliostat

    return heliostat(["run", *words])


if __name__ == "__main__":
    sys.exit(main())
