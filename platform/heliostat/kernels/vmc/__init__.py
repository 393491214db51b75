"""Variational Monte Carlo: sampling, local energies, updates."""
