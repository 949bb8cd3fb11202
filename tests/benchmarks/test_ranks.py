import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.ranks import partial, resampled, spearman


def test_correlations_are_those_of_scipy():
    one, two = np.random.default_rng(0).integers(0, 9, (2, 30)).astype(float)
    assert spearman(one, two) == pytest.approx(spearmanr(one, two).statistic)


def test_a_constant_correlates_with_nothing():
    assert spearman(np.arange(30.0), np.ones(30)) == 0.0


def test_rows_are_compared_one_by_one():
    rows = np.random.default_rng(0).normal(size=(2, 3, 9))
    other = np.arange(9.0)
    expected = [[spearmanr(row, other).statistic for row in part] for part in rows]
    np.testing.assert_allclose(spearman(rows, other), expected)


def test_what_only_size_explains_is_nothing_at_equal_size():
    rng = np.random.default_rng(0)
    size = rng.normal(size=3000)
    score, accuracy = (size + rng.normal(size=3000) for _ in "ab")
    assert spearman(score, accuracy) > 0.4
    assert abs(partial(score, accuracy, size)) < 0.05
    assert partial(accuracy, accuracy, size) == pytest.approx(1.0)
    assert partial(size, accuracy, size) == 0.0


def test_samples_vary_as_the_correlation_of_other_members_does():
    rng = np.random.default_rng(0)

    def members():
        x = rng.normal(size=50)
        return x, x + rng.normal(size=50)

    deviation = np.std([spearman(*members()) for _ in range(500)])
    drawn = [resampled(*members(), repeats=200) for _ in range(20)]
    assert np.mean([each[1:].std() for each in drawn]) == pytest.approx(deviation, rel=0.25)


def test_the_first_sample_is_of_all_members():
    one, two = np.random.default_rng(1).normal(size=(2, 20))
    drawn = resampled(np.stack([one, -one]), two, repeats=5)
    assert drawn.shape == (2, 6)
    assert drawn[0, 0] == spearman(one, two)


def test_scores_of_the_same_members_share_their_samples():
    one, two = np.random.default_rng(1).normal(size=(2, 20))
    np.testing.assert_array_equal(resampled(one, two, 9), resampled(np.exp(one), two, 9))
