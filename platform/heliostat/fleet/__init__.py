"""Run a job's spans on Ray: the same chunks as in one process, from many workers.

In reading order:

| module | answers |
|---|---|
| ``run`` | the entry: all chunks of a job; a ``Fleet`` for many runs |
| ``cluster`` | connect to Ray: embedded, the caller's, or a cluster |
| ``scheduler`` | assign spans to teams; replace a team whose worker died |
| ``pool`` | give teams to runs: dedicated to one run, or shared by many |
| ``team`` | one worker, or several that share a mesh and live and die together |
| ``worker`` | the actor: one process, its cores or GPUs, the blocks it holds |
"""
