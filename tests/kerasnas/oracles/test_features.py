import numpy as np
import pytest

from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import Decisions
from kerasnas.oracles.earlier import EarlierSearch
from kerasnas.oracles.features import Features
from kerasnas.testing import bits, choices, conditional, options

SPACE = choices(4, 4, 4, 4)


def costs(values):
    return {"params": 10.0 + options(values), "macs": 5.0 + options(values) ** 2, "ram": 7.0}


@pytest.fixture
def rows():
    return Decisions(SPACE).sample(np.random.default_rng(1), 50)


@pytest.fixture
def features():
    return Features(Candidates(Decisions(SPACE), costs))


def earlier(space=SPACE, count=30):
    decisions = Decisions(space)
    rows = decisions.sample(np.random.default_rng(0), count)
    values = sorted(map(decisions.values, rows), key=options)
    return EarlierSearch(values, list(map(options, values)))


def values_of(rows):
    return [Decisions(SPACE).values(row) for row in rows]


def test_costs_that_differ_are_trends_and_guesses_of_them_are_close(features, rows):
    exact = features.of_tried(values_of(rows))
    guessed = features.of_weighed(rows)
    assert features.num_costs == exact.trends.shape[1] == 2
    np.testing.assert_array_equal(exact.options, guessed.options)
    assert np.abs(exact.trends - guessed.trends).mean() < 0.15
    assert np.corrcoef(exact.trends[:, 0], list(map(options, values_of(rows))))[0, 1] > 0.95


def test_costs_of_what_was_tried_are_exact(features, rows):
    values = values_of(rows)
    macs, params = features.of_tried(values).trends.T
    for trend, name in ((macs, "macs"), (params, "params")):
        logarithm = np.log([costs(one)[name] for one in values])
        within = np.abs(trend) < 2.9  # not cut off
        assert within.sum() > 40
        line = np.polyfit(logarithm[within], trend[within], 1)
        np.testing.assert_allclose(
            np.polyval(line, logarithm[within]), trend[within], atol=1e-9
        )


def test_size_grows_with_the_network(features, rows):
    size = features.size(features.of_tried(values_of(rows)))
    assert np.all(np.diff(size[np.argsort(list(map(options, values_of(rows))))]) >= -1e-9)


@pytest.mark.parametrize("kwargs", [{"costs": None}, {"costs_are_known": False}])
def test_without_known_costs_there_are_no_trends(rows, kwargs):
    candidates = Candidates(Decisions(SPACE), kwargs.pop("costs", costs))
    features = Features(candidates, **kwargs)
    assert features.num_costs == 0
    assert features.of_tried(values_of(rows)).trends.shape == (50, 0)
    assert features.of_weighed(rows).trends.shape == (50, 0)


def test_larger_networks_are_expected_to_be_a_little_better(features, rows):
    points = features.of_weighed(rows)
    kernel = features.kernel(quality=True)
    assert np.corrcoef(kernel.mean(points), features.size(points))[0, 1] < -0.99
    assert not features.kernel(quality=False).mean(points).any()


def test_earlier_searches_are_trends_that_are_believed_at_first(rows):
    features = Features(Candidates(Decisions(SPACE)), earlier=[earlier()])
    points = features.of_weighed(rows)
    assert points.trends.shape == (50, 1)
    promised = features.promised(points)
    assert np.corrcoef(promised, list(map(options, values_of(rows))))[0, 1] > 0.8
    np.testing.assert_allclose(features.kernel(quality=True).mean(points), promised)
    np.testing.assert_allclose(features.of_tried(values_of(rows)).trends, points.trends)


def test_two_searches_and_costs_stand_side_by_side(rows):
    searches = [earlier(count=30), earlier(count=20)]
    features = Features(Candidates(Decisions(SPACE), costs), earlier=searches)
    points = features.of_weighed(rows)
    assert points.trends.shape == (50, 4)
    np.testing.assert_allclose(features.promised(points), points.trends[:, 2:].mean(axis=1))
    assert len(features.starts) == sum(len(s.best(Decisions(SPACE))) for s in searches)
    assert len(features.kernel(quality=True).trends) == 4


def test_a_search_of_something_else_is_no_trend():
    features = Features(Candidates(Decisions(conditional())), earlier=[earlier(bits(3))])
    assert features.earlier == []
    rows = Decisions(conditional()).sample(np.random.default_rng(0), 5)
    assert features.of_weighed(rows).trends.shape == (5, 0)


def test_decisions_without_a_choice_do_not_count():
    features = Features(Candidates(Decisions(conditional())))
    fixed = 1
    assert features.num_decisions == len(Decisions(conditional())) - fixed


def test_no_candidates_are_no_error(features):
    assert len(features.of_tried([])) == 0
    assert features.of_tried([]).trends.shape == (0, 2)
