"""Implicit differentiation: the gradient through the solution of an inner problem.

hypergradients   dF/du by the implicit function theorem, or by unrolled descent
inverse_hessian  H⁻¹ v and its approximations
krylov           conjugate gradients and GMRES
pseudo_inverse   H⁺ and its derivative
solutions        dF/du where H is singular
regularity       a diagnosis: does the theorem apply?
"""
