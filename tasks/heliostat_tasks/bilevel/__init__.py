"""Bilevel optimisation: what the start of the inner problem decides."""

from heliostat_tasks.bilevel.task import Bilevel

__all__ = ["Bilevel"]
