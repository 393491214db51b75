"""Sycophancy: does an assistant say what is true, or what its user wants to hear?"""

from heliostat_tasks.sycophancy.task import Sycophancy

__all__ = ["Sycophancy"]
