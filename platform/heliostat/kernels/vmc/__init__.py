"""Variational Monte Carlo: sampling of |ψ|², local energies, and the update.

metropolis  Metropolis-Hastings for |ψ|²
proposals   small steps, hops between nuclei, swaps of spins
laplacian   value, gradient and Laplacian of log|ψ|
sortlet     an antisymmetric product from sorted scores
determinant determinants of orbitals, and the Vandermonde product
signed_log  numbers as sign and log, and their sums
spring      the SPRING update direction
overlap     fit of a wavefunction to another one
sharding    layouts of arrays over devices
"""
