"""Complex momentum in differentiable games."""

from heliostat_tasks.games.task import Games

__all__ = ["Games"]
