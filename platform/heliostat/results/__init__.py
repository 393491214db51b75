"""Results: stored runs as tables, datasets and plots."""
