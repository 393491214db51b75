"""Antisymmetric heads: terms whose weighted sum is a wavefunction.

determinants      determinants of orbitals
orbital_sortlets  sortlets on the directions of orbitals, for any number of electrons
shell_sortlets    sortlets on the shares of shells, for up to two electrons of a spin
products          antisymmetric products of scores, by name
"""
