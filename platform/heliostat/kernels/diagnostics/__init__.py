"""Convergence of chains and errors of series."""
