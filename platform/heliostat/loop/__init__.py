"""The loop: run a task in this process, in chunks whose split never affects the bits.

In reading order:

- ``work``: jobs, spans and chunks; the blocks of a task;
- ``keys``: the random key of (replica, step);
- ``run``: the only loop of the platform;
- ``engine``: the interface by which the loop steps a block;
- ``xla``: engine of traced tasks; ``programs`` are what it compiles, ``batching``
  lets one program serve many runs, ``sharding`` splits states over devices;
- ``python``: engine of untraced tasks;
- ``mistakes``: a task's code that JAX or JSON cannot take, refused in one line;
- ``schema``: rows checked against what the task declares;
- ``state``: states as named arrays, and their digests;
- ``forward_mode``: the derivative of a run with respect to its traced fields.
"""
