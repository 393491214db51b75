"""The text of a class is found while the process parses other text."""

from __future__ import annotations

import ast
import gc

from support.toy_tasks import Walk

from heliostat.config import source

NESTED = "x = " + "[" * 30 + "]" * 30


def test_a_class_is_read_while_others_parse(monkeypatch):
    """A traceback that is logged in garbage collection parses text, too: Python 3.11
    then raises SystemError."""
    parse, threshold, times = ast.parse, gc.get_threshold(), []

    def disturbed(*args, **more):
        times.append(len(gc.callbacks))
        gc.freeze()  # else each collection looks at all that other tests have left
        gc.callbacks.append(lambda phase, info: parse(NESTED))
        gc.set_threshold(1 if len(times) < 3 else 0)
        try:
            return parse(*args, **more)
        finally:
            gc.set_threshold(*threshold)
            gc.callbacks.pop()
            gc.unfreeze()

    with monkeypatch.context() as patched:
        patched.setattr(ast, "parse", disturbed)
        comments = source.field_comments(Walk)
    assert (
        comments == source.field_comments(Walk)
        and "size of a step" in comments["sigma"]
    )
