"""Couplings and energies learned from data, with samplers that follow gradients."""

from heliostat_tasks.learn.task import Learn

__all__ = ["Learn"]
