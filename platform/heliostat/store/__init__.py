"""The store: runs on disk, in zarr. No other folder knows zarr.

In reading order:

- ``record``: one run on disk, and the order of a commit;
- ``zarr_format``: its zarr arrays, and how they are created and opened;
- ``attributes``: its root attributes, which netCDF can hold;
- ``definition``: the JSON file that defines a run, with a known digest;
- ``arrays``: rows and observations, written by chunk and read by block (``blocks``);
- ``digests``: the digest chain;
- ``checkpoints``: the kept states;
- ``events``: the log of a run;
- ``pack``: many runs in one record; ``cell``: one of them, read as a record;
- ``files``: what is read often, and parsed again only when it has changed;
- ``index``: the record of a run, alone or in a pack, by its path;
- ``annotations``: tags, names and notes, which no digest covers;
- ``lock``: one driver at a time;
- ``damage``, ``validate``: a file that was damaged or made by a stranger is one line.
"""
