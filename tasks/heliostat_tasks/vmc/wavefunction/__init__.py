"""The wavefunction: an attention backbone, a Jastrow factor, antisymmetric heads.

ansatz       the whole of it
electrons    positions of one walker, as all parts see them
backbone     features of every electron among the others
jastrow      the factor with all cusps
orbitals     sums of Slater-type functions
heads/       antisymmetric terms: sortlets, determinants
first_guess  parameters before training
slater       exponents of shells by Slater's rules
projection   Hartree-Fock orbitals as coefficients, which `Orbitals.guess` takes
evaluation   sign, log|Ψ| and the local energy at electrons
"""
