"""A training written down: signed commitments, checkpoints and a log, in files."""
