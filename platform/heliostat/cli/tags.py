"""Verb that gives a run tags, a name and a note."""

from __future__ import annotations

from typing import Annotated

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.build import open_run
from heliostat.cli.format import annotation_lines
from heliostat.cli.options import Json, RunId, Store, option


def tag(
    run: RunId,
    /,
    *tags: Annotated[str, option("Words to add.")],
    remove: Annotated[
        tuple[str, ...], option("Words to take away.", show_default=False)
    ] = (),
    name: Annotated[
        str | None, option('A name, by which the run can be opened; "" removes it.')
    ] = None,
    note: Annotated[str | None, option('A longer text; "" removes it.')] = None,
    store: Store = None,
    json: Json = False,
) -> Answer:
    """Give a run tags, a name or a note; without any, print those that it has."""
    opened = open_run(run, store)
    about = hs.tag(opened, *tags, remove=remove, name=name, note=note)
    lines = annotation_lines(about) or ["  no tags, name or note"]
    head = f"{opened.spec.identity['task']} {opened.id}"
    return Answer([head, *lines], {"id": opened.id, **about._asdict()})
