"""Verification of transcripts, by a verifier that trusts nothing in them.

| module | subject |
|---|---|
| ``audit`` | the entry: read, check, replay, judge |
| ``findings``, ``verdict`` | the policy and findings of an audit; the verdict on them |
| ``sampling`` | which segments are replayed, and the chance to catch a bad one |
| ``comparison``, ``distances`` | a replayed segment beside its claim |
| ``calibration`` | distances of honest replays whose bits cannot agree |
| ``scores``, ``memorisation`` | traces of data in a model: tests that need no replay |
| ``statement``, ``report`` | the signed result, its numbers and its plot |
"""
