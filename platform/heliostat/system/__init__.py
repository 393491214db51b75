"""Processes and devices: the ground that a run computes on.

| module | subject |
|---|---|
| ``device`` | cores, GPUs and memory of this process, set before JAX computes |
| ``jit``, ``compilation`` | sound compiled programs, and their cache on disk |
| ``tracers`` | errors of values that JAX traces, each with its remedy |
| ``environment`` | software and hardware that a result was computed with |
| ``process`` | identity of a process, and a test of whether it still runs |
| ``sessions`` | folders of embedded Ray sessions, removed when they have ended |
| ``audit`` | data files that a user's code reads, seen by Python's audit events |
| ``backend`` | the start of JAX in a process that only drives |
| ``signals`` | SIGTERM as an interrupt |
| ``cache`` | the folder of everything that can be computed or fetched again |
"""
