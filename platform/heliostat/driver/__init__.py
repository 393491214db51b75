"""The verbs, and the driver that brings one run to its goal.

Read in this order:

| module | content |
|---|---|
| ``verbs`` | ``hs.run``, ``start``, ``resume``, ``extend``, ``stop``, ``remove`` |
| ``ensure`` | find or create a record, compute what is missing, return the run |
| ``driver`` | the driver: locks the run, **commits its chunks in ``_commit``** |
| ``placement`` | where steps are computed: this process, or the fleet |
| ``finish`` | final status and headline; what an error leaves in the record |
| ``packs`` | the same for cells that share one program and one record |
| ``parent`` | runs that start from a state of another run |
| ``replay``, ``verify``, ``integrity`` | steps computed again; a stored run checked |
| ``tags`` | ``hs.tag``: tags, a name and a note, which change nothing of a run |
| ``spawn``, ``child`` | a driver in a process of its own, and its program |
| ``progress`` | the status line on standard error |

Rows are written by ``store.record.Record.commit``, which only ``driver._commit`` calls.
A worker that dies is replaced in ``fleet.scheduler``.
"""
