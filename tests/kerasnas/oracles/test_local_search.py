import functools

import keras_tuner
import pytest

from kerasnas.oracles.local_search import LocalSearch
from kerasnas.testing import OracleContract, bits, choices, end, options, play, rough


def step(oracle, score):
    """Run one trial and return it."""
    oracle.verbose = 0
    trial = oracle.create_trial("tuner0")
    end(oracle, trial, score(trial.hyperparameters.values))
    return trial


def differences(one, two):
    return sum(one[name] != two[name] for name in one)


def steps(oracle, trials):
    """Pair the candidates of trials with those that they were made from."""
    parents = [oracle.trials.get(oracle.parent_of(trial)) for trial in trials]
    return [
        (parent.hyperparameters.values, trial.hyperparameters.values)
        for parent, trial in zip(parents, trials, strict=True)
        if parent is not None
    ]


class TestLocalSearch(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(LocalSearch, objective="loss")

    def test_the_first_climb_starts_at_the_best_of_the_initial_points(self, make):
        oracle = make(hyperparameters=bits(12), seed=0, num_initial_points=4)
        scores = iter([3.0, 1.0, 2.0, 4.0, 5.0])
        trials = [step(oracle, lambda _: next(scores)) for _ in range(5)]
        assert [oracle.parent_of(trial) for trial in trials] == [None] * 4 + ["0001"]
        values = [trial.hyperparameters.values for trial in trials]
        assert differences(values[4], values[1]) == 1

    def test_it_moves_as_soon_as_a_neighbour_is_better(self, make):
        oracle = make(hyperparameters=choices(*[3] * 8), seed=0, num_initial_points=1)
        scores = iter([5.0, 6.0, 4.0, 7.0, 3.0, 2.0, 8.0])
        trials = [step(oracle, lambda _: next(scores)) for _ in range(7)]
        parents = [oracle.parent_of(trial) for trial in trials]
        assert parents == [None, "0000", "0000", "0002", "0002", "0004", "0005"]

    def test_or_when_all_neighbours_are_known_to_the_best_of_them(self, make):
        oracle = make(
            hyperparameters=bits(4), seed=0, num_initial_points=1, best_improvement=True
        )
        scores = iter([5.0, 4.0, 3.0, 1.0, 2.0, 9.0])
        trials = [step(oracle, lambda _: next(scores)) for _ in range(6)]
        parents = [oracle.parent_of(trial) for trial in trials]
        assert parents == [None] + ["0000"] * 4 + ["0003"]

    def test_a_climb_ends_where_no_neighbour_is_better_and_another_starts(self, make):
        oracle = make(hyperparameters=bits(5), seed=0, num_initial_points=1)
        trials = [step(oracle, lambda _: float(len(oracle.end_order))) for _ in range(7)]
        assert [oracle.parent_of(trial) for trial in trials] == [None] + ["0000"] * 5 + [None]

    def test_a_climb_that_meets_another_ends_where_that_one_did(self, make):
        oracle = make(hyperparameters=bits(3), seed=0, num_initial_points=1)
        trials = [step(oracle, lambda _: float(len(oracle.end_order))) for _ in range(6)]
        first, start = (trials[index].hyperparameters.values for index in (0, 4))
        assert differences(first, start) == 2  # so two neighbours are known, and better
        assert [oracle.parent_of(trial) for trial in trials] == (
            [None] + ["0000"] * 3 + [None, None]
        )

    @pytest.mark.parametrize("best_improvement", [False, True])
    def test_one_hill_is_climbed_to_its_top(self, make, best_improvement):
        oracle = make(
            hyperparameters=choices(*[3] * 8), seed=0, best_improvement=best_improvement
        )
        played = play(oracle, options, count=140)
        assert min(map(options, played)) == 0.0  # of 6,561 candidates

    def test_running_trials_are_pending_and_not_worse(self, make):
        oracle = make(hyperparameters=bits(3), seed=0, num_initial_points=1)
        step(oracle, lambda _: 5.0)
        around = [oracle.create_trial(f"tuner{worker}") for worker in range(3)]
        assert {oracle.parent_of(trial) for trial in around} == {"0000"}
        elsewhere = oracle.create_trial("tuner3")  # all that is left of the climb is running
        assert oracle.parent_of(elsewhere) is None
        end(oracle, around[1], 1.0)
        assert oracle.parent_of(oracle.create_trial("tuner1")) == around[1].trial_id

    def test_a_failed_neighbour_is_not_better(self, make):
        oracle = make(hyperparameters=bits(6), seed=0, num_initial_points=1)
        scores = iter([5.0, float("nan"), 6.0])
        trials = [step(oracle, lambda _: next(scores)) for _ in range(3)]
        assert [oracle.parent_of(trial) for trial in trials] == [None, "0000", "0000"]

    def test_on_an_interval_a_climb_ends_after_as_many_attempts_as_there_are_moves(self, make):
        hp = keras_tuner.HyperParameters()
        hp.Float("x", 0.0, 1.0)
        oracle = make(hyperparameters=hp, seed=0, num_initial_points=1)
        trials = [step(oracle, lambda _: float(len(oracle.end_order))) for _ in range(6)]
        assert [oracle.parent_of(trial) for trial in trials] == [None] + ["0000"] * 4 + [None]

    def test_small_changes_of_the_space_are_its_neighbours(self, make):
        def swapped(values, rng):
            one, two = rng.choice(sorted(values), size=2, replace=False)
            return {**values, one: values[two], two: values[one]}

        oracle = make(hyperparameters=choices(*[9] * 6), seed=0, num_initial_points=1)
        oracle.edit = swapped
        trials = [step(oracle, rough) for _ in range(41)]
        by_space = [differences(parent, child) == 2 for parent, child in steps(oracle, trials)]
        assert 0.3 < sum(by_space) / 40 < 0.7

    def test_what_those_changes_leave_alone_is_changed_too(self, make):
        def changed(values, rng):
            return {**values, "d0": f"option{rng.integers(2)}"}

        oracle = make(hyperparameters=bits(4), seed=0, num_initial_points=1)
        oracle.edit = changed
        trials = [step(oracle, options) for _ in range(8)]
        assert min(trial.score for trial in trials) == 0.0

    def test_with_them_a_climb_ends_after_twice_as_many_attempts(self, make):
        def drawn(values, rng):
            return {name: f"option{rng.integers(9)}" for name in values}

        oracle = make(hyperparameters=choices(9, 9, 9), seed=0, num_initial_points=1)
        oracle.edit = drawn
        around = len(
            oracle.candidates.decisions.neighbours(
                oracle.candidates.decisions.sample(oracle.rng, 1)[0], oracle.rng
            )
        )
        trials = [step(oracle, lambda _: float(len(oracle.end_order))) for _ in range(60)]
        parents = [oracle.parent_of(trial) for trial in trials]
        assert parents[: 2 * around + 2] == [None] + ["0000"] * 2 * around + [None]

    def test_where_asking_takes_long_few_costs_are_asked_for(self, make):
        asked = []

        def costs(values):
            asked.append(values)
            return {"params": 1 + options(values)}

        oracle = make(
            hyperparameters=choices(*[4] * 10),
            costs=costs,
            limits={"params": 8},
            slow_costs=True,
            seed=0,
        )
        for _ in range(15):
            asked.clear()
            step(oracle, lambda values: -options(values))  # up to the limit
            assert len(asked) <= 2 * 16

    def test_a_climb_needs_a_start(self, make):
        with pytest.raises(
            ValueError, match=r"Received: num_initial_points=0\. Give at least 1"
        ):
            make(num_initial_points=0)
