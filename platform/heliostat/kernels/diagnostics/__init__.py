"""Convergence of many chains, and errors of correlated series.

convergence      R̂, effective sample sizes and Monte Carlo errors: start here
mixing           their formulas, for many statistics at once
ranks            ranks of draws as normal scores
states           R̂ of discrete states: occupations of sites, random projections
estimates        R̂ and ESS as estimates of a headline, with warnings
batches          many statistics, some at a time
correlated_mean  mean of one series, with its error and autocorrelation time
"""
