import itertools

import keras_tuner
import numpy as np
import pytest

from kerasnas.oracles.adam import Adam
from kerasnas.oracles.choices import Choices
from kerasnas.oracles.decisions import Decisions
from kerasnas.oracles.policy import FactorisedPolicy, RecurrentPolicy
from kerasnas.testing import choices, conditional

POLICIES = [FactorisedPolicy, RecurrentPolicy]


def make(policy, space, seed=0):
    """Return a policy with parameters that are far from the first, and a generator."""
    made, rng = policy(Choices(Decisions(space))), np.random.default_rng(seed)
    theta = made.initial(rng)
    return made, theta + 0.5 * rng.normal(size=theta.shape), rng


def nested():
    """Return a space of 20 candidates, with conditions."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["conv", "pool", "skip"])
    with hp.conditional_scope("kind", ["conv"]):
        hp.Choice("kernel", [1, 3, 5])
        with hp.conditional_scope("kernel", [3, 5]):
            hp.Choice("width", [8, 16, 32])
    with hp.conditional_scope("kind", ["pool"]):
        hp.Boolean("padded")
    hp.Boolean("last")
    return hp


def slope(function, theta, place):
    """Return the central difference along one parameter."""
    step = np.zeros_like(theta)
    step[place] = 1e-5
    return (function(theta + step) - function(theta - step)) / 2e-5


def entropy(policy, theta, picks):
    """Return the entropies along candidates, from the probabilities of their prefixes."""
    total = 0.0
    for row in picks:
        for j in policy.choices.order:
            if row[j] < 0:
                continue
            rows = np.tile(row, (policy.choices.counts[j], 1))
            rows[:, j] = np.arange(len(rows))
            later = policy.choices.order[policy.choices.order.index(j) + 1 :]
            rows[:, later] = -1
            logs = policy.log_probabilities(theta, rows)
            logs -= np.log(np.exp(logs).sum())
            total -= np.sum(np.exp(logs) * logs)
    return total


@pytest.mark.parametrize("kind", POLICIES)
class TestPolicies:
    def test_at_first_all_options_are_about_as_likely(self, kind):
        policy = kind(Choices(Decisions(choices(4, 3, 5))))
        rng = np.random.default_rng(0)
        every = np.array(list(itertools.product(range(4), range(3), range(5))))
        logs = policy.log_probabilities(policy.initial(rng), every)
        assert np.exp(logs) == pytest.approx(np.full(60, 1 / 60), rel=0.5)

    def test_the_probabilities_of_all_candidates_add_up_to_one(self, kind):
        policy, theta, _ = make(kind, nested())
        members = policy.choices.decisions.members(100)
        assert len(members) == 2 * (1 + 2 * 3 + 2 + 1)
        logs = policy.log_probabilities(theta, policy.choices.picks(members))
        assert np.exp(logs).sum() == pytest.approx(1.0)

    def test_candidates_are_drawn_as_often_as_they_are_likely(self, kind):
        policy, theta, rng = make(kind, choices(2, 3))
        picks = policy.choices.picks(policy.draw(theta, 20_000, rng))
        every = np.array(list(itertools.product(range(2), range(3))))
        shares = [(picks == row).all(axis=1).mean() for row in every]
        likely = np.exp(policy.log_probabilities(theta, every))
        assert shares == pytest.approx(likely, abs=0.015)  # 4 standard errors

    def test_the_gradient_is_that_of_weighted_log_probabilities(self, kind):
        policy, theta, rng = make(kind, conditional())
        picks = policy.choices.picks(policy.draw(theta, 6, rng))
        weights = rng.normal(size=6)
        gradient = policy.gradient(theta, picks, lambda _: weights, 0.0)
        places = rng.permutation(np.flatnonzero(gradient))[:40]
        assert len(places) > 20
        for place in places:
            numeric = slope(
                lambda at: weights @ policy.log_probabilities(at, picks), theta, place
            )
            assert gradient[place] == pytest.approx(numeric, rel=1e-5, abs=1e-8)
        for place in np.flatnonzero(gradient == 0.0)[:5]:
            assert (
                slope(lambda at: weights @ policy.log_probabilities(at, picks), theta, place)
                == 0.0
            )

    def test_the_bonus_is_the_entropy_of_active_decisions(self, kind):
        policy, theta, rng = make(kind, conditional())
        picks = policy.choices.picks(policy.draw(theta, 3, rng))
        gradient = policy.gradient(theta, picks, lambda logs: 0.0 * logs, 0.7)
        for place in rng.choice(np.flatnonzero(gradient), 15, replace=False):
            numeric = slope(lambda at: 0.7 * entropy(policy, at, picks), theta, place)
            assert gradient[place] == pytest.approx(numeric, rel=1e-4, abs=1e-7)

    def test_weights_are_told_the_log_probabilities(self, kind):
        policy, theta, rng = make(kind, choices(3, 3))
        picks = policy.choices.picks(policy.draw(theta, 4, rng))
        told = []
        policy.gradient(theta, picks, lambda logs: told.append(logs) or 0.0 * logs, 0.0)
        assert told[0] == pytest.approx(policy.log_probabilities(theta, picks))

    def test_a_space_without_decisions_has_one_candidate(self, kind):
        policy, theta, rng = make(kind, choices(1))
        rows = policy.draw(theta, 2, rng)
        assert rows.tolist() == [[0.0], [0.0]]
        picks = policy.choices.picks(rows)
        assert policy.log_probabilities(theta, picks).tolist() == [0.0, 0.0]
        assert not policy.gradient(theta, picks, lambda logs: logs, 1.0).any()


def test_a_recurrent_policy_learns_what_goes_with_what():
    policy = RecurrentPolicy(Choices(Decisions(choices(3, 3))))
    rng = np.random.default_rng(0)
    state = Adam.at(policy.initial(rng))
    equal = np.array([[0, 0], [1, 1], [2, 2]])
    assert np.exp(policy.log_probabilities(state.theta, equal)).sum() < 0.4
    for _ in range(60):
        picks = policy.choices.picks(policy.draw(state.theta, 16, rng))
        good = (picks[:, 0] == picks[:, 1]) - 0.5
        gradient = policy.gradient(state.theta, picks, lambda _, good=good: good, 0.1)
        state = state.climbed(gradient, 0.02)
    assert np.exp(policy.log_probabilities(state.theta, equal)).sum() > 0.9


def test_a_recurrent_policy_sees_what_came_before():
    policy, theta, _ = make(RecurrentPolicy, choices(2, 2))
    logs = policy.log_probabilities(theta, np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    after = np.exp(logs).reshape(2, 2)
    after /= after.sum(axis=1, keepdims=True)
    assert abs(after[0, 0] - after[1, 0]) > 0.01


def test_a_factorised_policy_does_not():
    policy, theta, _ = make(FactorisedPolicy, choices(2, 2))
    logs = policy.log_probabilities(theta, np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))
    assert logs[0] - logs[1] == pytest.approx(logs[2] - logs[3])
