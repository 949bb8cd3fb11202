import numpy as np
import pytest
from sklearn.base import clone

from kerasnas.oracles.decisions import INACTIVE, Decisions
from kerasnas.oracles.kernel import DecisionKernel, distances
from kerasnas.testing import conditional

CATEGORICAL = (True, False, False)
X = np.array([[0, 0.0, 0.5], [0, 1.0, INACTIVE], [2, 0.25, INACTIVE], [INACTIVE, 0.25, 0.5]])


def test_distances_compare_decision_by_decision():
    kind, place, optional = distances(X, X, CATEGORICAL)
    np.testing.assert_array_equal(kind[0], [0, 0, 1, 1])
    np.testing.assert_array_equal(place[0], [0, 1, 0.25, 0.25])
    np.testing.assert_array_equal(optional[0], [0, 1, 1, 0])
    np.testing.assert_array_equal(optional[1], [1, 0, 0, 1])  # inactive on both sides: equal


def test_it_is_the_exponential_of_the_weighted_distance():
    kernel = DecisionKernel(np.array([0.5, 2.0, 1.0]), CATEGORICAL)
    assert kernel(X, X[:1])[2, 0] == pytest.approx(np.exp(-(0.5 + 0.25 * 2 + 1)))
    np.testing.assert_array_equal(kernel.diag(X), np.ones(4))
    np.testing.assert_allclose(kernel(X), kernel(X, X))


@pytest.mark.parametrize("features", [1, 3])
def test_the_gradient_is_that_of_finite_differences(features):
    points, categorical = X[:, :features], CATEGORICAL[:features]
    kernel = DecisionKernel(np.array([0.5, 2.0, 1.0])[:features], categorical)
    value, gradient = kernel(points, eval_gradient=True)
    np.testing.assert_allclose(value, kernel(points))
    for j, step in enumerate(np.eye(features) * 1e-6):
        up = kernel.clone_with_theta(kernel.theta + step)(points)
        down = kernel.clone_with_theta(kernel.theta - step)(points)
        np.testing.assert_allclose(gradient[:, :, j], (up - down) / 2e-6, atol=1e-8)


def test_the_gradient_follows_other_points():
    kernel = DecisionKernel(np.ones(3), CATEGORICAL)
    kernel(X, eval_gradient=True)
    value, _ = kernel(X[::-1].copy(), eval_gradient=True)
    np.testing.assert_allclose(value, kernel(X[::-1]))


def test_it_is_positive_definite_on_a_conditional_space():
    decisions = Decisions(conditional())
    rng = np.random.default_rng(0)
    points = np.unique(decisions.features(decisions.sample(rng, 200)), axis=0)
    kernel = DecisionKernel(rng.uniform(0.05, 2, points.shape[1]), decisions.categorical)
    assert np.linalg.eigvalsh(kernel(points)).min() > 1e-9


def test_it_can_be_cloned_as_scikit_learn_does():
    kernel = DecisionKernel(np.array([0.5, 2.0, 1.0]), CATEGORICAL, (1e-2, 1e2))
    np.testing.assert_array_equal(clone(kernel)(X), kernel(X))
    np.testing.assert_allclose(np.exp(kernel.bounds), [[1e-2, 1e2]] * 3)
