"""Products of matrices with a Cholesky factor: LAPACK itself, as it is called so often."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, lapack

from ratio_search.model.measurements import Array


def root_of(covariances: Array) -> Array:
    """The lower Cholesky factor of a symmetric matrix, which is written over, (n, n).

    Raises:
        LinAlgError: it is not positive definite.
    """
    # LAPACK counts along columns; the transpose is the same matrix, and need not be copied.
    found, info = lapack.dpotrf(covariances.T, lower=1, clean=1, overwrite_a=1)
    if info:
        raise LinAlgError(f"the leading minor of order {info} is not positive definite")
    root: Array = found
    return root


def lower_solved(root: Array, right: Array) -> Array:
    """The solution of root x = right with a lower triangular root, (n, m)."""
    found, info = lapack.dtrtrs(root, right, lower=1)
    assert info == 0, info
    solved: Array = found
    return solved


def inverse_of(root: Array) -> Array:
    """The inverse of a matrix whose lower Cholesky factor is given."""
    half, info = lapack.dtrtri(root, lower=1)
    assert info == 0, info
    found: Array = half.T @ half
    return found


def surprise_of(root: Array, squared: float) -> float:
    """The negative logarithm of a normal distribution's density, up to a constant.

    Args:
        root: the lower Cholesky factor of its covariances.
        squared: the distance from its mean by them, squared.
    """
    return 0.5 * squared + float(np.log(root.diagonal()).sum())


def diagonal(square: Array) -> Array:
    """The diagonal of a square matrix, to be written to."""
    found: Array = np.einsum("ii->i", square)
    return found
