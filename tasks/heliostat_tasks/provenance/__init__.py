"""Proof of training data: trainings, transcripts, and replays that verify them."""

from heliostat_tasks.provenance.task import Provenance

__all__ = ["Provenance"]
