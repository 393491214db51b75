"""Processes and devices: the ground that a run computes on.

| module | subject |
|---|---|
| ``device`` | cores, GPUs and memory of this process, set before JAX computes |
| ``jit``, ``compilation`` | sound compiled programs, and their cache on disk |
| ``environment`` | software and hardware that a result was computed with |
| ``process`` | identity of a process, and a test of whether it still runs |
| ``signals`` | SIGTERM as an interrupt |
| ``cache`` | the folder of everything that can be computed or fetched again |
"""
