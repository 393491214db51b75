"""The wavefunction: an attention backbone, a Jastrow factor, antisymmetric heads.

ansatz       the whole of it
first_guess  parameters before training
slater       exponents of shells by Slater's rules
evaluation   sign, log|Ψ| and the local energy at electrons
"""
