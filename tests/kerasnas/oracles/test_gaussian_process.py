import functools

import keras_tuner
import numpy as np
import pytest

from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.testing import OracleContract, bits, choices, conditional, end, options, play


def misfit(values):
    """Score the 12 to 14 decisions of `conditional`, of which `depth` hides some.

    Best is 0.25: three `conv` blocks, widths 16, 16 or 32, 32, and a `pool` head of 1 unit.
    """
    loss = 0.4 * abs(values["depth"] - 3) + abs(np.log10(values["rate"]) + 2.5)
    for index in range(values["depth"]):
        kind = values[f"block{index}/kind"]
        loss += {"conv": 0.0, "pool": 0.6, "skip": 1.0}[kind]
        if kind == "conv":
            loss += 0.3 * abs(np.log2(values[f"block{index}/width"]) - 4 - index / 2)
            loss += 0.3 * (not values[f"block{index}/norm"])
    return float(loss + (0.2 if values["head"] == "dense" else 0.1 * values["units"]))


class TestGaussianProcess(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(GaussianProcess, objective="loss")

    def test_it_finds_far_better_candidates_than_random_search(self):
        def best(oracle, seed):
            oracle = oracle("loss", 40, hyperparameters=conditional(), seed=seed)
            return min(map(misfit, play(oracle, misfit)))

        ours = [best(GaussianProcess, seed) for seed in range(2)]
        random = [best(RandomSearch, seed) for seed in range(2)]
        assert np.mean(ours) < 0.5 * np.mean(random)

    def test_it_maximises_what_is_to_be_maximised(self, make):
        oracle = make(
            objective="val_accuracy", hyperparameters=bits(12), seed=0, max_trials=25
        )
        played = play(oracle, options)
        assert max(map(options, played)) == 12
        assert np.mean([options(values) for values in played[-5:]]) > 10

    def test_the_scale_of_the_scores_does_not_matter(self, make):
        def sequence(scale):
            oracle = make(hyperparameters=choices(4, 4, 4, 4), seed=0, max_trials=15)
            return play(oracle, lambda values: scale * options(values))

        assert sequence(1e-6) == sequence(1.0) == sequence(1e6)

    def test_one_absurd_score_does_not_blind_it(self, make):
        oracle = make(hyperparameters=bits(12), seed=0, max_trials=30)
        absurd = iter([1e30])
        played = play(oracle, lambda values: next(absurd, -options(values)))
        assert max(map(options, played)) == 12

    def test_a_lucky_run_does_not_hold_it(self, make):
        # One mediocre candidate scores far too well, once; the model sees through it.
        oracle = make(hyperparameters=bits(12), seed=0, max_trials=30)
        lucky = iter([-9.0])
        played = play(oracle, lambda values: next(lucky, -options(values)))
        assert max(map(options, played)) == 12

    def test_equal_scores_are_no_obstacle(self, make):
        assert (
            len(play(make(hyperparameters=bits(6), seed=0, max_trials=12), lambda _: 1.0))
            == 12
        )

    def test_failures_from_the_start_leave_it_random(self, make):
        oracle = make(
            hyperparameters=bits(8), seed=0, max_trials=12, max_consecutive_failed_trials=99
        )
        assert len(play(oracle, lambda _: float("nan"))) == 12

    def test_open_trials_push_the_next_ones_away(self, make):
        oracle = make(hyperparameters=bits(12), seed=0, max_trials=40)
        play(oracle, lambda values: -options(values), count=15)
        trials = [oracle.create_trial(f"tuner{worker}") for worker in range(4)]
        candidates = [tuple(trial.hyperparameters.values.values()) for trial in trials]
        assert len(set(candidates)) == 4
        for trial in trials:  # each of them a good one nevertheless
            assert options(trial.hyperparameters.values) >= 9

    def test_the_initial_design_covers_every_option(self, make):
        oracle = make(hyperparameters=choices(*[4] * 6), seed=0, num_initial_points=8)
        played = play(oracle, options, count=8)
        for name in played[0]:
            options_seen = [values[name] for values in played]
            assert all(options_seen.count(f"option{option}") == 2 for option in range(4))

    @pytest.mark.parametrize(("decisions", "expected"), [(4, 4), (16, 5), (40, 10)])
    def test_the_design_is_small_by_default(self, make, decisions, expected, monkeypatch):
        oracle = make(hyperparameters=bits(decisions), seed=0, max_trials=expected + 1)
        improved = []
        improving = oracle._improving

        def spy(space, finished):
            improved.append(len(finished))
            return improving(space, finished)

        monkeypatch.setattr(oracle, "_improving", spy)
        play(oracle, options)
        assert improved == [expected]

    def test_a_design_of_one_point_is_refused(self):
        with pytest.raises(ValueError, match="Received: num_initial_points=1"):
            GaussianProcess("loss", num_initial_points=1)

    def test_a_decision_that_appears_late_is_used(self, make):
        oracle = make(hyperparameters=bits(4), seed=0, max_trials=14)
        oracle.verbose = 0
        for _ in range(14):
            trial = oracle.create_trial("tuner0")
            if trial.trial_id == "0006":
                trial.hyperparameters.Choice("late", ["a", "b"])
            end(
                oracle,
                trial,
                options(
                    {k: v for k, v in trial.hyperparameters.values.items() if k != "late"}
                ),
            )
        late = [trial.hyperparameters.values.get("late") for trial in oracle.trials.values()]
        assert late[:7] == [None] * 6 + ["a"]
        assert set(late[7:]) == {"a", "b"}


def test_keras_tuners_objective_works():
    objective = keras_tuner.Objective("score", "max")
    oracle = GaussianProcess(objective, 25, hyperparameters=bits(12), seed=0)
    assert max(map(options, play(oracle, options))) == 12


def test_under_limits_the_design_is_near_them():
    def design(limits):
        oracle = GaussianProcess(
            "loss",
            9,
            hyperparameters=bits(24),
            seed=0,
            num_initial_points=9,
            costs=lambda values: {"params": 1.0 + options(values)},
            limits=limits,
        )
        oracle.verbose = 0
        return np.mean([options(values) for values in play(oracle, lambda _: 1.0)])

    assert design({"params": 1000}) > design(None) + 1
