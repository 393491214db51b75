"""Reading runs: what is stored, as tables, estimates and plots.

Read in this order:

| module | content |
|---|---|
| ``lookup`` | ``hs.open``: find a run by its id |
| ``run`` | ``Run``: rows, states, headline and log of a stored run |
| ``description`` | rows with readable names, and the fields as attributes |
| ``headline`` | the estimates that a task makes of rows and observations |
| ``goal`` | the last step of a run: its length, or a condition on the headline |
| ``catalog`` | ``hs.runs``: every run of a store as one table; ``hs.gc`` |
| ``tables`` | lines as a table, in which whole numbers stay whole |
| ``plotting`` | ``hs.plot``: a variable of a run, with its references |
| ``figures`` | the drawings on given axes, and ``save_figure`` |
| ``commands`` | commands about a run, to be pasted into a shell |
| ``export`` | rows as netCDF or CSV |
| ``output`` | files that a user names, written at once |
| ``encoding`` | estimates as JSON |

Rows are read here and written by ``store``.
"""
