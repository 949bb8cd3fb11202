import math

import numpy as np
import pytest
import scipy.stats
from scipy.special import ndtr
from skopt.acquisition import gaussian_ei

from kerasnas.oracles.acquisition import (
    expected_hypervolume_improvement,
    expected_improvement,
    log_expected_improvement,
    log_feasibility,
)
from kerasnas.oracles.pareto import hypervolume


@pytest.fixture
def normal():
    rng = np.random.default_rng(0)
    return rng.normal(size=40), rng.uniform(0.1, 2.0, 40)


class TestExpectedImprovement:
    def test_it_is_scikit_optimizes(self, normal):
        class Model:
            def predict(self, _, return_std):
                return normal

        theirs = gaussian_ei(np.zeros((40, 1)), Model(), y_opt=-0.3, xi=0.0)
        np.testing.assert_allclose(expected_improvement(*normal, -0.3), theirs, atol=1e-12)

    def test_it_is_the_average_improvement(self, normal):
        means, deviations = normal
        drawn = np.random.default_rng(1).normal(means, deviations, (50_000, 40))
        average = np.maximum(-0.3 - drawn, 0.0).mean(axis=0)
        np.testing.assert_allclose(expected_improvement(*normal, -0.3), average, atol=0.03)

    def test_it_is_never_negative(self):
        values = expected_improvement(np.linspace(0, 100, 1001), np.ones(1001), 0.0)
        assert (values >= 0).all()


class TestLogExpectedImprovement:
    def test_it_is_the_logarithm_where_that_can_be_stored(self):
        means = np.linspace(-5, 20, 200)
        deviations = np.full(200, 0.8)
        expected = np.log(expected_improvement(means[means < 3], deviations[means < 3], 0.4))
        ours = log_expected_improvement(means, deviations, 0.4)
        np.testing.assert_allclose(ours[means < 3], expected, rtol=1e-6)

    @pytest.mark.parametrize("z", [-0.5, -3.0, -20.0, -900.0, -1100.0])
    def test_far_away_it_is_the_integral_of_the_normal_tail(self, z):
        # E[(z - x)+] = density(z) * integral of t * exp(z t - t**2 / 2) over t > 0
        t = np.linspace(0, 60 / max(-z, 1), 200_001)
        integral = np.trapezoid(t * np.exp(z * t - t**2 / 2), t)
        expected = scipy.stats.norm.logpdf(z) + math.log(integral)
        ours = log_expected_improvement(np.array([-z]), np.ones(1), 0.0)[0]
        assert ours == pytest.approx(expected, abs=1e-5)

    def test_it_has_a_slope_wherever_one_is(self):
        z = -np.concatenate(
            [np.linspace(-9, 60, 2000), [999.0, 999.99, 1000.01, 1001.0, 1e4, 1e7]]
        )
        values = log_expected_improvement(-z, np.ones(len(z)), 0.0)
        assert np.isfinite(values).all()
        assert (np.diff(values) < 0).all()

    def test_scale_only_adds_its_logarithm(self):
        one = log_expected_improvement(np.array([3.0]), np.array([0.5]), 1.0)
        thousand = log_expected_improvement(np.array([3000.0]), np.array([500.0]), 1000.0)
        np.testing.assert_allclose(thousand - one, math.log(1000))


FRONTS = {
    "empty": np.zeros((0, 2)),
    "one": np.array([[0.5, 0.5]]),
    "four": np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.3], [0.3, 0.6]]),  # in no order
    "twins": np.array([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]]),
}
REFERENCE = np.array([1.1, 1.0])


def gain(front, outcome):
    both = np.vstack([front, outcome])
    return hypervolume(both, REFERENCE) - hypervolume(front, REFERENCE)


@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
class TestExpectedHypervolumeImprovement:
    def test_it_is_the_average_improvement(self, front):
        rng = np.random.default_rng(0)
        means, deviations = rng.uniform(0, 1.3, (4, 2)), rng.uniform(0.05, 0.4, (4, 2))
        ours = expected_hypervolume_improvement(means, deviations, front, REFERENCE)
        for expected, mean, deviation in zip(ours, means, deviations, strict=True):
            drawn = rng.normal(mean, deviation, (4000, 2))
            gains = np.array([gain(front, outcome) for outcome in drawn])
            error = 4 * gains.std() / 4000**0.5 + 1e-5
            assert expected == pytest.approx(gains.mean(), abs=error)

    def test_without_doubt_it_is_the_improvement(self, front):
        means = np.random.default_rng(0).uniform(-0.2, 1.3, (200, 2))
        ours = expected_hypervolume_improvement(
            means, np.full((200, 2), 1e-7), front, REFERENCE
        )
        exact = [gain(front, mean) for mean in means]
        assert 10 < np.count_nonzero(exact) < 190
        np.testing.assert_allclose(ours, exact, atol=1e-6)


class TestLogFeasibility:
    def test_it_is_certain_of_neither_and_even_in_the_middle(self):
        fails, even, succeeds = np.exp(log_feasibility(np.array([-1, 0, 1]), np.full(3, 1e-6)))
        assert 0 < fails < 0.1
        assert even == pytest.approx(0.5)
        assert fails + succeeds == pytest.approx(1)

    def test_doubt_averages_over_outcomes(self):
        certain = np.exp(log_feasibility(np.array([1.0]), np.array([1e-9])))[0]
        width = 1 / scipy.stats.norm.ppf(certain)
        drawn = np.random.default_rng(0).normal(0.4, 0.8, 200_000)
        ours = np.exp(log_feasibility(np.array([0.4]), np.array([0.8])))[0]
        assert ours == pytest.approx(ndtr(drawn / width).mean(), abs=0.005)

    def test_it_stays_finite_where_nothing_can_succeed(self):
        values = log_feasibility(-np.array([1.0, 10.0, 1e3, 1e5]), np.full(4, 0.1))
        assert np.isfinite(values).all()
        assert (np.diff(values) < 0).all()
