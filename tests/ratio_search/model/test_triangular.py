from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import LinAlgError
from scipy.stats import multivariate_normal

from ratio_search.model.measurements import Array
from ratio_search.model.triangular import diagonal, inverse_of, lower_solved, root_of, surprise_of


def covariances() -> Array:
    some = np.random.default_rng(0).standard_normal((5, 5))
    found: Array = some @ some.T + np.eye(5)
    return found


def test_a_root_times_itself_is_the_matrix() -> None:
    root = root_of(covariances())
    assert np.array_equal(root, np.tril(root))
    assert root @ root.T == pytest.approx(covariances())


def test_what_is_not_positive_definite_has_no_root() -> None:
    with pytest.raises(LinAlgError, match="minor of order 2 is not positive"):
        root_of(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_it_solves_and_inverts() -> None:
    root, right = root_of(covariances()), np.arange(10.0).reshape(5, 2)
    assert root @ lower_solved(root, right) == pytest.approx(right)
    assert inverse_of(root) @ covariances() == pytest.approx(np.eye(5), abs=1e-12)


def test_a_surprise_is_that_of_a_normal_distribution() -> None:
    root, points = root_of(covariances()), np.random.default_rng(1).standard_normal((2, 5))
    apart = np.square(lower_solved(root, points.T)).sum(axis=0)
    here, there = (surprise_of(root, squared) for squared in apart)
    wide, narrow = (surprise_of(by * root, 1.0) for by in (2.0, 1.0))
    assert here - there == pytest.approx(-np.subtract(*multivariate_normal(cov=covariances()).logpdf(points)))
    assert wide - narrow == pytest.approx(5 * np.log(2))


def test_a_diagonal_can_be_written_to() -> None:
    square = np.zeros((2, 2))
    diagonal(square)[:] += [1, 2]
    assert square.tolist() == [[1, 0], [0, 2]]
