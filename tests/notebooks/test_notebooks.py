"""Every notebook runs from first cell to last, and is stored without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_the_promised_notebooks_are_there():
    assert {"00_tour", "01_write_a_task"} <= {path.stem for path in NOTEBOOKS}


def test_outputs_are_cleared(notebook):
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    assert all(not c.outputs and c.execution_count is None for c in cells)


def test_the_new_task_is_short():
    """The promise of the notebook: a whole science in at most 45 lines."""
    lesson = nbformat.read(FOLDER / "01_write_a_task.ipynb", as_version=4)
    task = next(c.source for c in lesson.cells if c.cell_type == "code")
    assert "class Hydrogen(hs.Task)" in task
    assert len(task.splitlines()) <= 45


@pytest.mark.slow
def test_it_runs_and_runs_again_where_its_store_stays(notebook, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)  # a kernel settles its own
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    resources = {"metadata": {"path": str(tmp_path)}}
    fresh = any("mkdtemp()" in cell.source for cell in notebook.cells)
    for _ in range(1 if fresh else 2):
        NotebookClient(notebook, timeout=240, resources=resources).execute()
