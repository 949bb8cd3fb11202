import math

import pytest

import kerasnas
from kerasnas import strategies
from kerasnas.fidelity import Fidelity, Hyperband, SuccessiveHalving
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.strategies import STRATEGIES, choose, fidelity_of, oracle_of


def chosen(**facts):
    plain = {"size": 1e9, "objectives": 1, "trials": 30, "epochs": None, "staged": True}
    return choose(**{**plain, **facts})


class TestAuto:
    def test_few_trials_go_to_the_gaussian_process(self):
        assert chosen()[:2] == ("bayesian", None)

    def test_a_space_that_can_be_tried_whole_is(self):
        assert chosen(size=24, trials=30)[:2] == ("grid", None)
        assert chosen(size=31, trials=30).strategy == "bayesian"

    def test_so_many_trials_that_a_model_of_them_takes_long_evolve(self):
        assert chosen(trials=5_000).strategy == "evolution"
        assert chosen(trials=5_000, objectives=2).strategy == "nsga2"

    def test_long_trainings_are_given_to_the_best(self):
        assert chosen(epochs=27)[:2] == ("bayesian", "asha")
        assert chosen(epochs=3)[:2] == ("bayesian", None)

    def test_of_many_candidates_the_best_are_trained_on(self):
        assert chosen(trials=100)[:2] == ("bayesian", "asha")

    def test_a_fidelity_of_the_users_is_left_alone(self):
        assert chosen(trials=100, staged=False).fidelity is None

    def test_a_front_is_sought_with_all_candidates_trained_alike(self):
        assert chosen(objectives=2, trials=100)[:2] == ("bayesian", None)

    @pytest.mark.parametrize("trials", [1, 30, 100, 5_000, math.inf])
    @pytest.mark.parametrize("objectives", [1, 2])
    def test_the_reason_is_one_line(self, trials, objectives):
        choice = chosen(trials=trials, objectives=objectives)
        assert choice.reason
        assert "\n" not in choice.reason
        assert choice.strategy in STRATEGIES


class TestNames:
    @pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "auto"])
    def test_each_strategy_is_an_oracle_of_ours(self, name):
        oracle = oracle_of(name, "val_loss", 5, limits={}, seed=0)
        assert isinstance(oracle, SearchOracle)
        assert oracle.max_trials == 5
        assert type(oracle).__name__ in kerasnas.__all__

    def test_a_policy_by_name_goes_down_to_a_ninth_of_the_epochs(self):
        assert fidelity_of("asha", 9).levels == (1, 3, 9)
        assert fidelity_of("asha", 4).levels[-1] == 4
        assert isinstance(fidelity_of("hyperband", 27), Hyperband)

    @pytest.mark.parametrize("epochs", [1, 2, 3, 5, 40])
    @pytest.mark.parametrize("name", strategies.FIDELITIES)
    def test_there_is_a_policy_for_any_number_of_epochs(self, name, epochs):
        policy = fidelity_of(name, epochs)
        assert isinstance(policy, Fidelity)
        assert policy.levels[0] >= 1
        assert policy.levels[-1] == epochs

    def test_policies_are_taken_as_they_are(self):
        policy = SuccessiveHalving(9, 1)
        assert fidelity_of(policy, 100) is policy
        assert fidelity_of(None, 100) is None
