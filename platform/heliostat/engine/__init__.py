"""How a block of replicas is stepped: as one compiled program, or as plain Python.

Both engines offer ``compile``, ``init``, ``advance``, ``observe``, ``pack``,
``unpack``, ``pick`` and ``stack``; the loop in ``unfold`` does not know which one it
has.  What they give to the host leads with an axis of lanes, of one entry but in packs.

``traced`` compiles, over the ``lanes`` of tasks that can be packed; ``plain`` is for
tasks that cannot be traced; ``told`` holds what both tell against what was promised.
"""

from heliostat.engine.plain import Plain
from heliostat.engine.traced import AXIS, Indivisible, Traced

__all__ = ["AXIS", "Indivisible", "Plain", "Traced"]
