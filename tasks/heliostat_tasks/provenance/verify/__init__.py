"""A verifier of transcripts that trusts nothing in them."""
