import keras_tuner
import numpy as np
import pytest
import scipy.stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from kerasnas.oracles.decisions import Decisions
from kerasnas.oracles.kernel import Kernel, Trend
from kerasnas.oracles.regression import Regression
from kerasnas.testing import choices, conditional


class Data:
    """Candidates of a conditional space with two trends, and their scores."""

    def __init__(self, count=25):
        trends = (Trend(slope=0.7), Trend())
        rng = np.random.default_rng(0)
        self.decisions = Decisions(conditional())
        self.kernel = Kernel.of(self.decisions, trends=trends)
        self.rows = self.decisions.sample(rng, count)
        self.trends = rng.normal(size=(count, len(trends)))
        self.scores = rng.normal(size=count)
        self.theta = self.kernel.prior_mean + rng.normal(
            scale=0.3, size=len(self.kernel.prior_mean)
        )

    def points(self, part=slice(None)):
        features = self.decisions.features(self.rows[part])
        return self.kernel.points(*features, self.trends[part])

    def regression(self, part=slice(None)):
        return Regression.at(self.kernel, self.theta, self.points(part))

    def by_the_textbook(self, known, asked):
        """Return mean and deviation by inverting the covariance matrix."""
        covariances, _ = self.kernel.with_gradient(self.theta, self.points(known))
        inverse = np.linalg.inv(covariances)
        across = self.kernel(self.theta, self.points(asked), self.points(known))
        own = self.kernel(self.theta, self.points(asked), self.points(asked))
        residuals = self.scores[known] - self.kernel.mean(self.points(known))
        mean = self.kernel.mean(self.points(asked)) + across @ inverse @ residuals
        return mean, np.sqrt(np.diag(own - across @ inverse @ across.T))


KNOWN, ASKED = slice(15), slice(15, None)


@pytest.fixture
def data():
    return Data()


def same(one, two):
    """Check that two posteriors predict the same."""
    points = Data().points()
    for left, right in zip(one.predict(points), two.predict(points), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-7, atol=1e-9)


def test_the_posterior_is_that_of_the_textbook(data):
    posterior = data.regression(KNOWN).given(data.scores[KNOWN])
    mean, deviation = posterior.predict(data.points(ASKED))
    expected_mean, expected_deviation = data.by_the_textbook(KNOWN, ASKED)
    np.testing.assert_allclose(mean, expected_mean)
    np.testing.assert_allclose(deviation, expected_deviation)
    np.testing.assert_allclose(posterior.mean(data.points(ASKED)), expected_mean)


def test_on_a_line_it_is_scikit_learns():
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    decisions = Decisions(hp)
    kernel = Kernel.of(decisions)
    rng = np.random.default_rng(0)
    x, asked = decisions.sample(rng, 12), decisions.sample(rng, 30)
    y = np.sin(6 * x[:, 0])
    signal, noise, weight = 1.7, 0.02, 4.0
    regression = Regression.at(
        kernel, np.log([signal, noise, weight]), kernel.points(*decisions.features(x))
    )
    mean, deviation = regression.given(y).predict(kernel.points(*decisions.features(asked)))
    theirs = GaussianProcessRegressor(
        ConstantKernel(signal) * Matern(1 / weight, nu=0.5), alpha=noise, optimizer=None
    ).fit(x, y)
    their_mean, their_deviation = theirs.predict(asked, return_std=True)
    np.testing.assert_allclose(mean, their_mean, atol=1e-3)
    np.testing.assert_allclose(deviation, their_deviation, atol=1e-3)


def test_extending_point_by_point_gives_what_all_at_once_gives(data):
    grown = data.regression(slice(1))
    for index in range(1, len(data.rows)):
        grown = grown.extended(data.points(slice(index, index + 1)))
    whole = data.regression()
    np.testing.assert_allclose(grown.factor, whole.factor, rtol=1e-8, atol=1e-10)
    same(grown.given(data.scores), whole.given(data.scores))


def test_extending_by_several_or_none_works(data):
    grown = data.regression(KNOWN).extended(data.points(ASKED))
    same(grown.given(data.scores), data.regression().given(data.scores))
    same(grown.extended(data.points(slice(0))).given(data.scores), grown.given(data.scores))


def test_expected_scores_are_linear_in_what_was_observed(data):
    def mean(scores):
        return data.regression(KNOWN).given(scores).mean(data.points(ASKED))

    one, two = np.random.default_rng(1).normal(size=(2, 15))
    zero = mean(np.zeros(15))
    combined = mean(2 * one - 3 * two) - zero
    np.testing.assert_allclose(combined, 2 * (mean(one) - zero) - 3 * (mean(two) - zero))


def test_deviations_do_not_depend_on_the_scores(data):
    regression = data.regression(KNOWN)
    _, one = regression.given(data.scores[KNOWN]).predict(data.points(ASKED))
    _, two = regression.given(100 * data.scores[KNOWN]).predict(data.points(ASKED))
    np.testing.assert_array_equal(one, two)


def test_imagining_makes_sure_of_a_point_and_expects_the_same(data):
    posterior = data.regression(KNOWN).given(data.scores[KNOWN])
    running = data.points(slice(15, 17))
    imagined = posterior.imagining(running)
    mean, deviation = posterior.predict(data.points())
    new_mean, new_deviation = imagined.predict(data.points())
    np.testing.assert_allclose(new_mean, mean, atol=1e-8)
    assert (new_deviation <= deviation + 1e-9).all()
    assert (new_deviation[15:17] < 0.5 * deviation[15:17]).all()


def test_left_out_is_what_leaving_out_each_point_gives(data):
    expected = []
    for index in range(len(data.rows)):
        others = np.delete(np.arange(len(data.rows)), index)
        mean, _ = data.by_the_textbook(others, [index])
        expected.append(data.scores[index] - mean[0])
    left_out = data.regression().given(data.scores).left_out()
    np.testing.assert_allclose(left_out, expected, rtol=1e-6, atol=1e-9)


class TestFit:
    """The score of four options of `d0` is known up to noise; `d1` does not matter."""

    decisions = Decisions(choices(4, 4))
    kernel = Kernel.of(decisions)

    @pytest.fixture
    def noisy(self):
        rng = np.random.default_rng(0)
        rows = self.decisions.sample(rng, 60)
        scores = np.array([-1.3, -0.4, 0.4, 1.3])[rows[:, 0].astype(int)]
        points = self.kernel.points(*self.decisions.features(rows))
        return points, scores + rng.normal(scale=0.2, size=60)

    def log_posterior(self, theta, points, scores):
        covariances, _ = self.kernel.with_gradient(theta, points)
        likelihood = scipy.stats.multivariate_normal(np.zeros(60), covariances)
        prior = scipy.stats.norm(self.kernel.prior_mean, self.kernel.prior_deviation)
        return likelihood.logpdf(scores) + prior.logpdf(theta).sum()

    def test_it_makes_scores_and_priors_most_likely(self, noisy):
        theta = Regression.fit(self.kernel, *noisy).theta
        best = self.log_posterior(theta, *noisy)
        assert best > self.log_posterior(self.kernel.prior_mean, *noisy) + 5
        for step in np.vstack([np.eye(4), -np.eye(4)]):
            assert best > self.log_posterior(theta + 0.3 * step, *noisy)

    def test_it_tells_what_matters_from_what_does_not(self, noisy):
        _, log_noise, matters, does_not = Regression.fit(self.kernel, *noisy).theta
        assert np.exp(does_not) < 0.2 * np.exp(matters)
        assert np.exp(log_noise) == pytest.approx(0.04, rel=0.6)

    def test_it_recovers_the_scores_without_the_noise(self, noisy):
        points, scores = noisy
        posterior = Regression.fit(self.kernel, points, scores).given(scores)
        asked = self.kernel.points(*self.decisions.features(self.decisions.members(16)))
        mean, deviation = posterior.predict(asked)
        truth = np.repeat([-1.3, -0.4, 0.4, 1.3], 4)
        assert np.abs(mean - truth).max() < 0.3
        assert (np.abs(mean - truth) < 4 * deviation).all()

    def test_the_same_scores_give_the_same_process(self, noisy):
        one, two = (Regression.fit(self.kernel, *noisy) for _ in "ab")
        np.testing.assert_array_equal(one.theta, two.theta)

    def test_a_slope_is_found_although_the_prior_expects_another(self):
        rng = np.random.default_rng(0)
        kernel = Kernel.of(self.decisions, trends=(Trend(slope=-1.0),))
        rows, sizes = self.decisions.sample(rng, 60), rng.normal(size=(60, 1))
        features = self.decisions.features(rows)
        points = kernel.points(*features, sizes)
        scores = sizes[:, 0] + rng.normal(scale=0.1, size=60)
        posterior = Regression.fit(kernel, points, scores).given(scores)
        small, large = (kernel.points(*features, np.full((60, 1), s)) for s in (-2.0, 2.0))
        slope = (posterior.mean(large) - posterior.mean(small)) / 4
        np.testing.assert_allclose(slope, 1.0, atol=0.15)

    def test_two_equal_points_are_enough(self):
        points = self.kernel.points(*self.decisions.features(np.zeros((2, 2))))
        posterior = Regression.fit(self.kernel, points, np.zeros(2)).given(np.zeros(2))
        assert np.isfinite(posterior.predict(points)).all()
