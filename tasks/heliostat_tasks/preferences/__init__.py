"""Bayesian logistic regression of human preferences on features of responses."""

from heliostat_tasks.preferences.task import Preferences

__all__ = ["Preferences"]
