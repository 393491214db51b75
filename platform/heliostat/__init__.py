"""heliostat."""

from heliostat.task import Estimate, File, Task, Var, format_error

__all__ = ["Estimate", "File", "Task", "Var", "format_error"]
