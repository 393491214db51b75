"""Discrete states sampled by many chains at once, with and without gradients."""

from heliostat_tasks.discrete.task import Discrete

__all__ = ["Discrete"]
