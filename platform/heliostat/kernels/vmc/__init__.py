"""Variational Monte Carlo: sampling of |ψ|², local energies, and the update.

metropolis  random-walk Metropolis for |ψ|²
laplacian   value, gradient and Laplacian of log|ψ|
sortlet     an antisymmetric product from sorted scores
spring      the SPRING update direction
sharding    layouts of arrays over devices
"""
