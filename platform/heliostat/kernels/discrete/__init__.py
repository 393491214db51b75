"""Discrete states: targets, samplers that use their gradients, and estimates of log Z.

target        a density, its value, and its change per changed site
validate      trial evaluation of a density
lattices      Ising and Potts models, on lattices and graphs
densities     an RBM, a factorial HMM, a residual network, two exact controls
chain         the state of one chain, a sampler's interface, Metropolis-Hastings
selection     one index by one uniform number
moves         sets of sites that an informed sampler proposes
proposals     informed samplers: Gibbs-with-gradients, DMALA, paths
gibbs         single-site Gibbs and Metropolis, block Gibbs of an RBM
chromatic     Gibbs sweeps over colours
hamming_ball  Gibbs steps within a Hamming ball
kawasaki      exchanges of two sites, which keep sums
adaptation    a step size that is tuned in warm-up
tempering     parallel tempering
annealing     log Z by annealed importance sampling in both directions
sequential    log Z and draws by sequential Monte Carlo
bit_packing   states as bits
"""
