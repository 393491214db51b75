"""What human preference data reward: Bayesian logistic regression on features."""

from heliostat_tasks.preferences.task import Preferences

__all__ = ["Preferences"]
