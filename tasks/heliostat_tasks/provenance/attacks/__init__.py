"""Dishonest transcripts, to test that a verifier rejects them."""
