"""Folder of everything that heliostat may compute or fetch again."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = "programs"
"""Folder of compiled programs in the cache."""

KEPT = 30 * 86400.0
"""Seconds without use after which a compiled program is removed."""


def cache_folder() -> Path:
    """Return ``$HELIOSTAT_CACHE``, by default ``~/.cache/heliostat``."""
    folder = os.environ.get("HELIOSTAT_CACHE") or "~/.cache/heliostat"
    return Path(folder).expanduser()


def remove_old_programs() -> list[Path]:
    """Remove the compiled programs that nobody used for :data:`KEPT` seconds."""
    removed = []
    for path in sorted((cache_folder() / PROGRAMS).glob("*")):
        with suppress(OSError):  # another process removed it
            used = max(path.stat().st_atime, path.stat().st_mtime)
            if path.is_file() and time.time() - used > KEPT:
                path.unlink()
                removed.append(path)
    return removed
