import keras_tuner
import numpy as np
import pytest

from kerasnas.oracles.decisions import INACTIVE, Decisions
from kerasnas.oracles.kernel import Kernel, Trend
from kerasnas.testing import bits, choices, conditional

TRENDS = (Trend(slope=0.5), Trend(slope=-1.0, variance=0.1))


def mixed():
    """Return `conditional` with two more intervals, one of them conditional."""
    hp = conditional()
    hp.Int("steps", 1, 10**6, sampling="log")
    with hp.conditional_scope("head", ["dense"]):
        hp.Float("dropout", 0.0, 0.5)
    return hp


def apart(column, one, two):
    """Return how far two codes of a decision are apart, by the book."""
    if INACTIVE in (one, two):
        return float(one != two)
    if column.categorical:
        return float(one != two)
    place = column.features(np.array([one, two]))
    return abs(place[0] - place[1])


class Case:
    """A kernel with candidates and hyperparameters to compute it for."""

    def __init__(self, space, count=20, trends=(), seed=0):
        rng = np.random.default_rng(seed)
        self.decisions = Decisions(space)
        self.kernel = Kernel.of(self.decisions, trends=trends)
        self.rows = self.decisions.sample(rng, count)
        self.trends = rng.normal(size=(count, len(trends)))
        self.theta = self.kernel.prior_mean + rng.normal(
            scale=0.7, size=len(self.kernel.prior_mean)
        )

    @property
    def points(self):
        return self.kernel.points(*self.decisions.features(self.rows), self.trends)

    def by_the_formula(self):
        """Compute the docstring's formula pair by pair."""
        listed = self.decisions.listed
        columns = self.decisions.columns
        real = [c for c in columns if c.count != 1 and c not in listed]
        weights = np.exp(self.theta[2 : 2 + len(listed) + len(real)])
        variances = np.exp(self.theta[2 + len(listed) + len(real) :])
        covariances = np.zeros((len(self.rows), len(self.rows)))
        for a, one in enumerate(self.rows):
            for b, two in enumerate(self.rows):
                product = np.exp(self.theta[0])
                for weight, column in zip(weights, [*listed, *real], strict=True):
                    j = columns.index(column)
                    product *= np.exp(-weight * apart(column, one[j], two[j]))
                along = np.sum(variances * self.trends[a] * self.trends[b])
                covariances[a, b] = product + along
        return covariances


SPACES = {
    "bits": bits(5),
    "choices": choices(3, 1, 4),
    "conditional": conditional(),
    "mixed": mixed(),
}


@pytest.fixture(params=SPACES)
def case(request):
    return Case(SPACES[request.param], trends=TRENDS)


def test_it_is_what_its_docstring_says(case):
    covariances = case.kernel(case.theta, case.points, case.points)
    np.testing.assert_allclose(covariances, case.by_the_formula(), rtol=1e-10, atol=1e-12)


def test_without_decisions_that_differ_only_the_trends_count():
    case = Case(choices(1), count=3, trends=TRENDS)
    covariances = case.kernel(case.theta, case.points, case.points)
    np.testing.assert_allclose(covariances, case.by_the_formula())


def test_the_diagonal_is_that_of_the_matrix(case):
    covariances = case.kernel(case.theta, case.points, case.points)
    diagonal = case.kernel.diagonal(case.theta, case.points)
    np.testing.assert_allclose(diagonal, np.diag(covariances))


def test_noise_is_added_to_the_diagonal_only(case):
    noisy, _ = case.kernel.with_gradient(case.theta, case.points)
    noise = noisy - case.kernel(case.theta, case.points, case.points)
    np.testing.assert_allclose(
        noise, np.eye(len(case.rows)) * np.exp(case.theta[1]), atol=1e-5
    )


def test_the_gradient_is_that_of_finite_differences(case):
    sensitivity = np.random.default_rng(1).normal(size=(len(case.rows),) * 2)
    sensitivity += sensitivity.T

    def total(theta):
        return np.sum(sensitivity * case.kernel.with_gradient(theta, case.points)[0])

    _, gradient = case.kernel.with_gradient(case.theta, case.points)
    slopes = [
        (total(case.theta + step) - total(case.theta - step)) / 2e-5
        for step in np.eye(len(case.theta)) * 1e-5
    ]
    np.testing.assert_allclose(gradient(sensitivity), slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["conditional", "mixed"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_positive_definite_on_a_conditional_space(name, seed):
    case = Case(SPACES[name], count=150, seed=seed)
    case.rows = np.unique(case.rows, axis=0)
    case.trends = np.zeros((len(case.rows), 0))
    covariances = case.kernel(case.theta, case.points, case.points)
    assert np.linalg.eigvalsh(covariances).min() > 1e-9


def candidate(**changed):
    values = {"depth": 1, "rate": 1e-2, "block0/kind": "pool", "head": "pool", "units": 2}
    return {**values, "version": 1, **changed}


def covariance_by_weight(one, two, name):
    """Return covariances with a decision that does not matter, and one that matters a lot."""
    decisions = Decisions(conditional())
    kernel = Kernel.of(decisions)
    points = kernel.points(*decisions.features(decisions.encode([one, two])))
    index = 2 + [column.name for column in decisions.listed].index(name)
    theta = np.array([kernel.prior_mean, kernel.prior_mean])
    theta[:, index] = [-9, 9]
    return [kernel(t, points, points)[0, 1] for t in theta]


def test_a_decision_that_is_inactive_on_both_sides_neither_matches_nor_distracts():
    one, two = candidate(), candidate(units=3)
    without, with_it = covariance_by_weight(one, two, "block0/width")
    assert with_it == without > 0


def test_a_decision_that_only_one_side_has_tells_them_apart():
    one, two = candidate(), candidate(**{"block0/kind": "conv", "block0/width": 8})
    without, with_it = covariance_by_weight(one, two, "block0/width")
    assert with_it < 1e-9 < without


def test_near_places_of_an_ordered_decision_are_more_alike_than_far_ones():
    hp = keras_tuner.HyperParameters()
    hp.Choice("width", [8, 16, 32, 64])
    hp.Choice("kind", ["a", "b", "c", "d"])
    decisions = Decisions(hp)
    kernel = Kernel.of(decisions)
    rows = np.array([[0, 0], [1, 0], [3, 0], [0, 1], [0, 3]], dtype=float)
    points = kernel.points(*decisions.features(rows))
    _, near, far, other, another = kernel(kernel.prior_mean, points, points)[0]
    assert far < near
    assert other == another


def test_trends_promise_their_slope():
    case = Case(bits(3), trends=TRENDS)
    np.testing.assert_allclose(
        case.kernel.mean(case.points), 0.5 * case.trends[:, 0] - case.trends[:, 1]
    )


def test_shifted_and_joined_points_are_those_of_shifted_and_joined_trends():
    case = Case(conditional(), trends=TRENDS)
    features = case.decisions.features(case.rows)
    centre = np.array([1.0, -2.0])
    shifted = case.kernel.points(*features, case.trends - centre)
    first, rest = (
        case.kernel.points(*(f[part] for f in features), case.trends[part])
        for part in (slice(7), slice(7, None))
    )
    expected = case.kernel(case.theta, shifted, shifted)
    joined = first.joined(rest).shifted(centre)
    assert len(joined) == len(case.rows)
    np.testing.assert_allclose(case.kernel(case.theta, joined, joined), expected)


def test_before_any_data_all_decisions_matter_equally_and_candidates_differ_a_lot():
    decisions = Decisions(bits(6))
    kernel = Kernel.of(decisions)
    rows = np.vstack([np.zeros(6), np.eye(6), np.ones(6)])
    points = kernel.points(*decisions.features(rows))
    correlations = kernel(kernel.prior_mean, points, points)[0]
    assert correlations[0] == pytest.approx(1.0)
    assert np.ptp(correlations[1:7]) < 1e-12
    assert correlations[-1] == pytest.approx(correlations[1] ** 6)
    assert correlations[-1] < 0.2
