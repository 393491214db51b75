"""Discrete states: targets, and samplers that know their gradients."""
