"""Molecules as users write them: by name, in a file, or as text.

molecule      nuclei, and numbers of electrons of each spin
spin          Hund's rule for atoms and ions
names         names of molecules, and advice on words that are none
geometries    built-in atoms and molecules
nuclei        nuclei in text
elements      symbols, labels and atomic numbers
files         files, their encodings and frames
xyz           frames of .xyz files
comment_line  columns, cell, charge and multiplicity on the second line of a frame
"""

from heliostat_tasks.vmc.molecules.molecule import Molecule

__all__ = ["Molecule"]
