import numpy as np
import pytest

from kerasnas.oracles.ensemble import PREDICTORS, forest, networks


def problem(count, seed=0):
    """Return yes-or-no features, of which two matter, and standardised losses."""
    features = (np.random.default_rng(seed).random((count, 8)) < 0.5).astype(float)
    losses = features[:, 0] - 2.0 * features[:, 1]
    return features, (losses - losses.mean()) / losses.std()


@pytest.fixture(params=sorted(PREDICTORS))
def fit(request):
    return PREDICTORS[request.param]


def test_they_learn_what_matters(fit):
    predict = fit(*problem(60), 3, np.random.default_rng(0))
    features, losses = problem(200, seed=1)
    assert np.corrcoef(predict(features).mean(axis=0), losses)[0, 1] > 0.95


def test_networks_agree_where_there_are_data_and_not_elsewhere():
    features, losses = problem(60)
    known = features[:, 3] == 0  # nothing is shown with this feature
    predict = networks(features[known], losses[known], 8, np.random.default_rng(0))
    spread = predict(features).std(axis=0)
    assert spread[known].mean() < 0.3
    assert spread[~known].mean() > 1.5 * spread[known].mean()


def test_the_same_generator_gives_the_same_guesses(fit):
    features, losses = problem(20)
    one, two = (fit(features, losses, 2, np.random.default_rng(4)) for _ in "ab")
    np.testing.assert_array_equal(one(features), two(features))


@pytest.mark.parametrize(("fit", "members"), [(networks, 2), (forest, 20)])
def test_members_differ(fit, members):
    features, losses = problem(20)
    guesses = fit(features, losses, 2, np.random.default_rng(0))(features)
    assert len(guesses) == members
    assert len(np.unique(guesses, axis=0)) > 1
