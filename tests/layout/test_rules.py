"""Names, prose and sizes of the source keep the rules of CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re

import pytest
from layout.report import LONG_FUNCTION, ROOT, RULES, VERY_LONG_FUNCTION, share_above

PLATFORM = ROOT / "platform" / "heliostat"
TASKS = ROOT / "tasks" / "heliostat_tasks"
PACKAGES = sorted(PLATFORM.glob("*/**/__init__.py"))
FORBIDDEN = {"__init__.py", "platform/__init__.py"}
"""Files that the README warns of."""

OTHER_TESTS = {"clusters", "gold", "layout", "notebooks", "support", "tasks"}


@pytest.mark.parametrize("rule", RULES)
def test_no_place_breaks_the_rule(rule):
    findings = RULES[rule]()
    assert not findings, "\n".join(map(str, findings))


def test_ninety_per_cent_of_functions_have_at_most_twenty_lines():
    assert share_above(LONG_FUNCTION) <= 0.1


def test_at_most_one_per_cent_of_functions_has_more_than_forty_lines():
    assert share_above(VERY_LONG_FUNCTION) <= 0.01


@pytest.mark.parametrize("document", ["platform/README.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_names_exists(document):
    text = (ROOT / document).read_text()
    names = set(re.findall(r"`((?:\w+/)*\w+\.py)`", text)) - FORBIDDEN
    folders = PLATFORM, TASKS, ROOT
    missing = [n for n in names if not any((f / n).exists() for f in folders)]
    assert names and not missing


@pytest.mark.parametrize("init", PACKAGES, ids=lambda init: init.parent.name)
def test_a_package_names_its_modules_in_reading_order(init):
    """The order is for people; that none is missing is checked."""
    text = ast.get_docstring(ast.parse(init.read_text())) or ""
    modules = {path.stem for path in init.parent.glob("*.py")} - {"__init__"}
    assert modules == {m for m in modules if re.search(rf"\b{m}\b", text)}


def test_the_picture_of_the_floors_has_every_folder():
    text = (ROOT / "platform" / "README.md").read_text()
    picture = text.split("```")[1]
    folders = {p.parent.name for p in PLATFORM.glob("*/__init__.py")}
    assert folders == {f for f in folders if re.search(rf"\b{f}/", picture)}


def test_tests_mirror_the_tree_of_the_source():
    folders = {p.name for p in (ROOT / "tests").iterdir() if any(p.glob("**/*.py"))}
    sources = {p.parent.name for p in PLATFORM.glob("*/__init__.py")}
    assert folders <= sources | OTHER_TESTS
    tasks = {p.parent.name for p in (ROOT / "tasks").glob("heliostat_tasks/*/task.py")}
    tested = {p.parent.name for p in (ROOT / "tests" / "tasks").glob("*/test_*.py")}
    assert tested == tasks
