"""Quiet imports of Ray Tune, for the adapters in this folder.

Ray Tune only decides; the sweep computes the cells.  Its objects are rebuilt from the
journal by the same calls in the same order: nothing is unpickled.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def quiet_tune() -> Generator[None]:
    """Silence warnings of Ray Tune and Optuna about widgets and experiments."""
    for name in ("ray.tune", "ray.widgets"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
