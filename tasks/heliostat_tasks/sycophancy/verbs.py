"""``heliostat sycophancy VERB``: read, plot and compare what assistants said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import heliostat as hs
from heliostat import Answer


def view(*runs: str, output: Path, store: str | None = None) -> Answer:
    """Write all conversations of runs as one page, to be read in any browser.

    The page needs no network and allows none; its filters are in its address.

    Args:
        runs: Ids of runs, or their first digits.
        output: The file to write, such as transcripts.html.
    """
    from heliostat_tasks.sycophancy import viewer

    found = _opened(runs, store)
    size = viewer.write(found, output)
    names = [run.id for run in found]
    lines = [f"{output}: {', '.join(names)}, {size / 1e6:.3g} MB"]
    return Answer(lines, {"path": str(output), "runs": names, "bytes": size})


def _opened(runs: tuple[str, ...], store: str | None, least: int = 1) -> list[hs.Run]:
    if len(runs) < least:
        raise hs.RequestError(f"{len(runs)} runs: expected at least {least}")
    return [hs.open(run, store=store) for run in dict.fromkeys(runs)]


VERBS: Mapping[str, Callable[..., Answer]] = {
    "view": view,
}
