"""Processes and devices: what a run computes on."""
