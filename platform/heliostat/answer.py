"""Answer of a verb: to a person, to a program, and to the shell.

Tasks may have verbs of their own (:meth:`heliostat.Task.verbs`), so this module lies
below the command line, which prints answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """Lines and tables, the object of ``--json``, and the exit status.

    Args:
        text: lines (str) and whatever else rich prints, such as tables.
        data: the object that ``--json`` prints.
        status: 0 complete (ACCEPT), 1 failed (REJECT), 3 INCONCLUSIVE.

    Example:
        >>> import heliostat as hs
        >>> hs.Answer(["2 items"], {"items": 2}).status
        0
    """

    text: Iterable[Any]
    data: Mapping[str, Any] | None = None
    status: int = 0
