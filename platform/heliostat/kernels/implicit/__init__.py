"""Derivatives of solutions: implicit differentiation of an inner problem."""
