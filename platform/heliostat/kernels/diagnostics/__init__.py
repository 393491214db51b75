"""Convergence of many chains, and errors of correlated series.

convergence  R̂, effective sample sizes and Monte Carlo errors: start here
mixing       their formulas, for many statistics at once
ranks        ranks of draws as normal scores
batches      many statistics, some at a time
blocking     the error of one series' mean by blocking
"""
