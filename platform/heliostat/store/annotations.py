"""Tags, names and notes that people give to runs: a log beside each record.

No digest covers them, and they change no id. The log of a pack has those of its cells.
Lines are only appended, so that no writer loses what another one writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heliostat.errors import StoreError
from heliostat.store.definition import ID
from heliostat.store.events import EventLog
from heliostat.store.index import (
    find_record,
    list_packs,
    open_record,
    run_folders,
    task_folders,
)
from heliostat.store.record import TAGS_FILE, Record

EVENT = "tagged"


class Annotation(NamedTuple):
    """Tags, name and note of a run.

    Args:
        tags: words, in alphabetical order.
        name: a short text for people; several runs may have one name.
        note: a longer text.

    Example:
        >>> Annotation(("paper",), name="baseline").tags
        ('paper',)
    """

    tags: tuple[str, ...] = ()
    name: str = ""
    note: str = ""


def annotate(path: Path, **changes: Any) -> None:
    """Append a change to the log of a run.

    Args:
        path: the folder of the run, or the one that a cell of a pack would have.
        changes: ``add`` and ``remove``, lists of tags; ``name`` and ``note``, texts.

    Raises:
        StoreError: if the store cannot be written.
    """
    record = open_record(path)
    while True:
        _append(record, **changes)
        moved = open_record(path)  # a cell may have left its pack meanwhile
        if moved.folder == record.folder:
            return
        record = moved


def annotation_of(record: Record) -> Annotation:
    """Return the tags, name and note of a run."""
    return annotations_in(record.folder).get(record.id, Annotation())


def annotations_in(folder: Path) -> dict[str, Annotation]:
    """Return annotations by the id of the run: of one folder, or of a pack's cells."""
    result: dict[str, Annotation] = {}
    for event in EventLog(folder / TAGS_FILE).events(EVENT):
        run = str(event.get("run"))
        if not ID.fullmatch(run):  # else a log could name a path
            continue
        result[run] = _changed(result.get(run, Annotation()), event)
    return result


def runs_named(store: Path, name: str) -> dict[str, Path]:
    """Return the path of each run of a store that has a name, by its id."""
    homes = task_folders(store)
    folders = [(h, f) for h in homes for f in (*run_folders(h), *list_packs(h))]
    paths: dict[str, Path] = {}
    for home, folder in folders:
        for id_, about in annotations_in(folder).items():
            record = find_record(home / id_) if about.name == name else None
            if record and record.folder == folder:  # else it left this pack
                paths[id_] = record.path
    return paths


def copy_annotation(source: Record, target: Record) -> None:
    """Give a run the annotation that it has in its pack."""
    tags, name, note = annotation_of(source)
    if tags or name or note:
        _append(target, add=list(tags), name=name, note=note)


def _append(record: Record, **changes: Any) -> None:
    try:
        EventLog(record.folder / TAGS_FILE).append(EVENT, run=record.id, **changes)
    except OSError as error:
        reason = f"{record.folder} is not writable: {error.strerror}"
        raise StoreError(reason) from error


def _changed(before: Annotation, event: dict[str, Any]) -> Annotation:
    tags = {*before.tags, *_words(event.get("add"))} - {*_words(event.get("remove"))}
    texts = {n: str(v) for n in ("name", "note") if (v := event.get(n)) is not None}
    return before._replace(tags=tuple(sorted(tags)), **texts)


def _words(value: Any) -> Sequence[str]:
    return [str(word) for word in value] if isinstance(value, list) else ()
