"""What a verb says: to a person, to a program, and to the shell.

Tasks may have verbs of their own (:meth:`heliostat.Task.verbs`), so this is known
below the command line that prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """Lines and tables, the object of ``--json``, and the exit status::

    0  complete (ACCEPT)    1  failed (REJECT)    3  INCONCLUSIVE
    """

    text: Iterable[Any]  # str, or what rich prints
    data: Mapping[str, Any] | None = None
    status: int = 0
