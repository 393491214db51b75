"""Tags, a name and a note of a stored run, which change nothing of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from heliostat.errors import RequestError
from heliostat.results.lookup import as_run
from heliostat.results.run import Run
from heliostat.store.annotations import Annotation, annotate


def tag(
    run: str | Run,
    *tags: str,
    remove: str | Iterable[str] = (),
    name: str | None = None,
    note: str | None = None,
    store: str | Path | None = None,
) -> Annotation:
    """Give a run tags, a name or a note, and return all that it has.

    They lie beside the record, change neither the id nor a digest, and are columns of
    :func:`heliostat.runs`. Several processes may write them at the same time.

    Args:
        run: an id (or its first digits), a name, or a :class:`Run`.
        tags: words to add.
        remove: words to take away.
        name: a short text, by which the run can be opened; "" removes it.
        note: a longer text; "" removes it.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.

    Returns:
        The tags, the name and the note.

    Raises:
        RequestError: if there is no such run, or if a tag is no word.
        StoreError: if the store cannot be written.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, steps=20, on="here")
        >>> hs.tag(run, "paper", "draft", name="baseline").tags
        ('draft', 'paper')
        >>> hs.runs(where="'paper' in tags").name.item()
        'baseline'
    """
    opened = as_run(run, store)
    removed = [remove] if isinstance(remove, str) else list(remove)
    for word in (*tags, *removed):
        _check_word(word)
    _check_text("name", name)
    _check_name(name or "")
    _check_text("note", note, "\n")
    changes = {"add": list(tags), "remove": removed, "name": name, "note": note}
    if given := {n: v for n, v in changes.items() if v not in (None, [])}:
        annotate(opened.path, **given)
    return opened.reopen().annotation


def _check_name(name: str) -> None:
    """Check that a name opens one run: it is no part of an id, a path or code.

    Raises:
        RequestError: naming what was given.
    """
    if re.fullmatch("[0-9a-f]+", name) or any(c in name for c in "/\\:"):
        raise RequestError(
            f"name {name!r}: expected one that is not digits of an id and has no / or :"
        )


def _check_word(word: object) -> None:
    if not isinstance(word, str) or not word.isprintable() or word.split() != [word]:
        raise RequestError(f"tag {word!r}: expected a word without spaces")


def _check_text(option: str, text: object, allowed: str = "") -> None:
    if text is None:
        return
    if not isinstance(text, str) or not text.replace(allowed, "").isprintable():
        raise RequestError(f"{option} {text!r}: expected a text that can be printed")
