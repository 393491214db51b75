"""Folder of everything that heliostat may compute or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$HELIOSTAT_CACHE``, by default ``~/.cache/heliostat``."""
    folder = os.environ.get("HELIOSTAT_CACHE") or "~/.cache/heliostat"
    return Path(folder).expanduser()
