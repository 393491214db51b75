"""Variational Monte Carlo of atoms and molecules with sortlet wavefunctions."""

from heliostat_tasks.vmc.task import VMC

__all__ = ["VMC"]
