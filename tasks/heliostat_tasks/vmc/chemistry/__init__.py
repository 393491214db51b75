"""Quantum chemistry by PySCF, and published energies, that runs are compared with.

hartree_fock  the self-consistent field, of which orbitals and populations are taken
populations   electrons of each spin at each nucleus
basis         Gaussian basis sets
references    reference energies of a molecule
exact         published energies that count as exact
"""
