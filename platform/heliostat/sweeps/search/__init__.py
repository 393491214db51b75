"""Searches: the rules that decide which cells a sweep has."""
