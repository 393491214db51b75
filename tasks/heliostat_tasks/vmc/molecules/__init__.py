"""Molecules as users write them: by name, in a file, or as text.

molecule    nuclei, and numbers of electrons of each spin
nuclei      reading of text and of .xyz files
geometries  built-in atoms and molecules
"""

from heliostat_tasks.vmc.molecules.molecule import Molecule

__all__ = ["Molecule"]
