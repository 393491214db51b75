"""Differentiable games: methods of play, spectra of the dynamics, rates.

momentum     complex, linked and aggregated momentum as optax transformations
adam         Adam with complex momentum
directions   what players follow: gradients, and corrections of them
play         rounds, simultaneous or alternating
spectrum     eigenvalues of play with momentum: cubic, stability region, thresholds
radii        spectral radii of methods, on grids
optima       best rate and momentum for a spectrum
rates        rates of convergence, fitted to distances
arnoldi      eigenvalues of the Jacobian of networks
frequency    eigenvalues that play moves along, and the angle they ask for
"""
