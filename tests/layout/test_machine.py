"""The page of environment variables, held against the sources."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "platform" / "MACHINE.md").read_text()
SOURCES = [
    path
    for folder in ("platform", "tasks", "clusters", "benchmarks", "notebooks")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".yaml", ".ipynb") and path.name != "MACHINE.md"
]
READ = r'environ(?:\.get|\.setdefault)?[(\[]\s*"(\w+)"|"(\w+)" in os\.environ'


def test_the_page_has_every_variable_of_heliostat_and_no_other():
    texts = [(ROOT / "README.md").read_text(), *(p.read_text() for p in SOURCES)]
    names = {n for text in texts for n in re.findall(r"HELIOSTAT_[A-Z_]+", text)}
    assert set(re.findall(r"^\| `(HELIOSTAT_[A-Z_]+)` \|", PAGE, re.M)) == names


def test_the_page_has_every_variable_that_a_source_reads():
    texts = [path.read_text() for path in SOURCES if path.suffix == ".py"]
    pairs = [pair for text in texts for pair in re.findall(READ, text)]
    names = {name for pair in pairs for name in pair if name}
    assert {"HELIOSTAT_STORE", "XLA_FLAGS"} <= names
    assert not [name for name in names if f"`{name}`" not in PAGE]
