"""Run a job's spans on Ray: the same chunks as in one process, from many workers.

Read in this order:

| module | content |
|---|---|
| ``run`` | the entry: all chunks of one job; a ``Fleet`` of workers for many runs |
| ``cluster`` | connection to Ray: embedded, the caller's own, or a cluster |
| ``scheduler`` | spans assigned to teams; a team whose worker died is replaced here |
| ``pool`` | teams dedicated to one run, or shared by successive runs |
| ``team`` | one worker, or several that share a mesh and live and die as a unit |
| ``worker`` | the actor: one process with its cores or GPUs, and the blocks it holds |
| ``pickles`` | tasks as bytes, with their code |

A worker that dies is noticed in ``team.Team.collect``, which raises ``WorkerLost``;
``scheduler.Scheduler._next_result`` catches it and starts a new team, which goes on
from the last chunk that arrived.
"""
