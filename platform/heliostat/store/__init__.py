"""The store: one run on disk as rows, states, digests and events."""
