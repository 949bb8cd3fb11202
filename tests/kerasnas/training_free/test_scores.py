"""Scores of a space's members, and a search that makes use of them."""

import keras_tuner
import numpy as np
import pytest
from scipy.stats import spearmanr

import kerasnas
from kerasnas.oracles.decisions import Decisions
from kerasnas.testing import play
from kerasnas.training_free import Scores, naswot, seeds, synflow
from kerasnas.training_free.scores import draw
from search_spaces.costs import costs
from search_spaces.realise import realise


@pytest.fixture(scope="module")
def batch(shades):
    return shades(24)


@pytest.fixture(scope="module")
def scores(space, batch):
    return Scores(space, batch[0], names=("synflow", "naswot"))


@pytest.fixture(scope="module")
def members(space):
    hp = space.hyperparameters()
    decisions = Decisions(hp)
    return [decisions.values(row) for row in decisions.members(100)]


class TestScores:
    def test_they_are_those_of_the_model(self, space, scores, batch, members):
        model = realise(space.network(members[5]), seed=0)
        assert scores(members[5]) == {
            "synflow": synflow(model),
            "naswot": naswot(model, batch[0]),
        }

    def test_values_of_other_decisions_make_no_difference(self, scores, members):
        assert scores({**members[0], "learning_rate": 0.1}) == scores(members[0])

    def test_targets_are_taken_as_data_sets_store_them(self, space, batch, members):
        found = Scores(space, *batch, names=("snip", "grad_norm"))(members[0])
        assert 0 < found["grad_norm"] < np.inf

    def test_what_a_member_lacks_is_the_worst(self, space, members):
        bare = Scores(space, names=("zen",))
        assert bare(members[0])["zen"] > -np.inf
        assert Bare((4,), 2).network({}) is not None
        assert Scores(Bare((4,), 2), names=("zen",))({}) == {"zen": -np.inf}
        assert Scores(Bare((4,), 2), names=("zen",)).positive({}) == {"zen": 0.0}

    @pytest.mark.parametrize(
        ("arguments", "wrong"),
        [
            ({"names": ("synflo",)}, "Did you mean 'synflow'"),
            ({"names": "synflow"}, "Pass a tuple"),
            ({"names": ()}, "Pass a tuple"),
            ({"names": ("naswot",)}, "Received: x=None. Pass a batch"),
            ({"names": ("snip",), "x": np.ones((4, 8, 8, 1))}, "Received: y=None"),
        ],
    )
    def test_wrong_arguments_are_explained(self, space, arguments, wrong):
        with pytest.raises(ValueError, match=wrong):
            Scores(space, **arguments)

    def test_a_foreign_space_is_refused(self):
        with pytest.raises(TypeError, match="one by one"):
            Scores(keras_tuner.HyperModel(), names=("synflow",))


class Bare(kerasnas.search_spaces.SearchSpace):
    """One network, without convolutions or normalisation."""

    def body(self, hp, x):
        return x


class TestFeatures:
    def test_guesses_follow_the_scores_and_costs_are_exact(self, space, scores, members):
        features = scores.features(sample=12)
        for name in scores.names:
            guessed = [features(values)[name] for values in members]
            known = [scores.positive(values)[name] for values in members]
            assert min(guessed) > 0
            assert spearmanr(guessed, known).statistic > 0.6
        exact = costs(space.network(members[3]))
        found = features(members[3])
        assert {name: found[name] for name in exact} == exact

    def test_they_are_the_same_in_another_process(self, space, batch, members):
        one, two = (
            Scores(space, batch[0], names=("naswot",)).features(sample=8) for _ in "ab"
        )
        assert [one(v) for v in members[::9]] == [two(v) for v in members[::9]]

    def test_a_surrogate_takes_them_as_trends(self, space, scores):
        oracle = kerasnas.GaussianProcess(
            keras_tuner.Objective("loss", "min"),
            6,
            hyperparameters=space.hyperparameters(),
            costs=scores.features(sample=8),
            identity=space.identity,
            seed=0,
        )
        play(oracle, lambda values: scores(values)["naswot"])
        assert len(oracle.trials) == 6
        trial = oracle.trials["0000"]
        assert {"synflow", "naswot", "params"} <= oracle.trial_costs(trial).keys()
        assert {"synflow", "naswot"} <= set(oracle.candidates.cost_model.names)

    def test_too_few_members_are_refused(self, space, scores):
        with pytest.raises(ValueError, match="Received: sample=3"):
            scores.features(sample=3)
        features = Scores(Bare((4,), 2), names=("synflow",)).features(sample=8)
        with pytest.raises(ValueError, match="of 1 different members, too few"):
            features({})


class TestSeeds:
    def test_they_are_the_best_of_those_drawn(self, space, scores):
        chosen = seeds(scores, 3, np.random.default_rng(1), among=10)
        others = draw(space, 10, np.random.default_rng(1))
        assert len({space.identity(values) for values in chosen}) == 3
        flows = sorted((scores(values)["synflow"] for values in others), reverse=True)
        by_flow = Scores(space, names=("synflow",))
        best = seeds(by_flow, 3, np.random.default_rng(1), among=10)
        assert [by_flow(values)["synflow"] for values in best] == flows[:3]

    def test_they_keep_limits(self, space, scores):
        limits = {"params": 500}
        chosen = seeds(scores, 3, np.random.default_rng(0), among=6, limits=limits)
        assert all(costs(space.network(values))["params"] <= 500 for values in chosen)
        free = seeds(scores, 3, np.random.default_rng(0), among=6)
        assert any(costs(space.network(values))["params"] > 500 for values in free)

    def test_there_may_be_fewer(self, scores):
        single = Scores(Bare((4,), 2), names=("params",))
        assert seeds(single, 2, np.random.default_rng(0), among=4) == [{}]

    def test_more_than_are_drawn_are_refused(self, scores):
        with pytest.raises(ValueError, match="count=5, among=4"):
            seeds(scores, 5, np.random.default_rng(0), among=4)

    def test_scores_that_no_member_has_are_refused(self):
        with pytest.raises(ValueError, match="zen of 1 candidates"):
            seeds(Scores(Bare((4,), 2), names=("zen",)), 1, np.random.default_rng(0))


def test_a_search_starts_with_seeds_and_knows_scores(space, scores, batch, tmp_path):
    start = seeds(scores, 1, np.random.default_rng(0), among=6)
    oracle = kerasnas.GaussianProcess(
        "val_accuracy", 2, costs=scores.features(sample=8), start_with=start, seed=0
    )
    tuner = kerasnas.Tuner(space, oracle, directory=tmp_path, project_name="search")
    tuner.search(*batch, validation_data=batch, epochs=1, verbose=0)
    trials = oracle.get_best_trials(2)
    assert len(trials) == 2
    first = oracle.trials["0000"]
    assert first.hyperparameters.values == start[0]
    assert all(oracle.trial_costs(trial)["naswot"] > 0 for trial in trials)
