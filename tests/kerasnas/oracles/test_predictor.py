import functools
import json

import pytest

from kerasnas.oracles.predictor import PredictorGuided
from kerasnas.testing import OracleContract, choices, end, options, play, rough

SMALL = {"num_initial_points": 5, "ensemble": 2, "num_candidates": 40}


def differences(one, two):
    return sum(one[name] != two[name] for name in one)


def kinds(values):
    """Name how often each option was taken, which is all that `options` depends on."""
    taken = list(values.values())
    return {f"{option}x{taken.count(option)}" for option in taken}


class TestPredictorGuided(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(PredictorGuided, objective="loss", **SMALL)

    @pytest.mark.parametrize(
        "how",
        [{}, {"predictor": "forest"}, {"acquisition": "ei"}, {"acquisition": "ucb"}],
        ids=str,
    )
    def test_it_finds_what_effects_add_up_to(self, make, how):
        oracle = make(hyperparameters=choices(*[4] * 8), seed=0, num_candidates=100, **how)
        played = play(oracle, options, count=30)
        assert min(map(options, played)) <= 3.0  # one of 400 candidates

    def test_mutants_name_their_parents_which_are_among_the_best(self, make):
        oracle = make(hyperparameters=choices(*[4] * 8), seed=0)
        play(oracle, rough, count=18)
        trials = list(oracle.trials.values())
        children = [trial for trial in trials if oracle.parent_of(trial) is not None]
        assert len(children) > 6
        for child in children:
            parent = oracle.trials[oracle.parent_of(child)]
            before = [t for t in trials if t.trial_id < child.trial_id]
            best = sorted(before, key=lambda trial: trial.score)[:10]
            assert parent in best
            values = [trial.hyperparameters.values for trial in (child, parent)]
            assert 1 <= differences(*values) <= 3

    def test_where_trials_fail_it_goes_rarely(self, make):
        oracle = make(hyperparameters=choices(2, *[4] * 7), seed=0, num_initial_points=10)

        def score(values):
            return float("nan") if values["d0"] == "option0" else 10.0 + options(values)

        played = play(oracle, score, count=24)
        assert sum(values["d0"] == "option0" for values in played[10:]) <= 3  # of 14

    def test_trials_that_run_are_not_proposed_again(self, make):
        oracle = make(hyperparameters=choices(3, 3), seed=0)
        play(oracle, options, count=4)
        running = [oracle.create_trial(f"tuner{worker}") for worker in range(5)]
        asked = [json.dumps(t.hyperparameters.values) for t in oracle.trials.values()]
        assert len(set(asked)) == 9
        for trial in running:
            end(oracle, trial, 1.0)
        assert oracle.create_trial("tuner0").status == "STOPPED"

    def test_paths_that_recur_are_learned_from(self, make):
        new = functools.partial(make, hyperparameters=choices(*[4] * 8), seed=0)
        told = play(new(paths=kinds), options, count=12)
        assert told != play(new(), options, count=12)

    @pytest.mark.parametrize(
        "paths",
        [lambda values: {json.dumps(values)}, lambda values: set(map(str, range(51)))],
        ids=["unique", "many"],
    )
    def test_paths_that_do_not_recur_or_are_too_many_make_no_difference(self, make, paths):
        new = functools.partial(make, hyperparameters=choices(*[4] * 8), seed=0)
        assert play(new(paths=paths), options, 12) == play(new(), options, 12)

    def test_paths_alone_are_enough_where_they_say_all(self, make):
        oracle = make(
            hyperparameters=choices(*[4] * 8),
            seed=0,
            encoding="paths",
            paths=lambda values: {f"{name}>{value}" for name, value in values.items()},
            num_candidates=100,
        )
        assert min(map(options, play(oracle, options, count=30))) <= 3.0

    def test_paths_are_asked_for_once(self, make):
        asked = []

        def paths(values):
            asked.append(json.dumps(values))
            return kinds(values)

        play(make(hyperparameters=choices(4, 4, 4), seed=0, paths=paths), options, count=12)
        assert len(asked) == len(set(asked)) > 0

    def test_where_paths_say_nothing_few_networks_are_described(self, make):
        asked = []

        def paths(values):
            asked.append(json.dumps(values))
            return set(map(str, range(51)))

        oracle = make(hyperparameters=choices(*[4] * 8), seed=0, paths=paths)
        played = play(oracle, options, count=20)
        assert asked == [json.dumps(values) for values in played[:10]]

    def test_small_changes_of_the_space_are_mutants_too(self, make):
        changed = []

        def edit(values, rng):
            changed.append({**values, rng.choice(sorted(values)): "option0"})
            return changed[-1]

        oracle = make(hyperparameters=choices(*[9] * 6), seed=0)
        oracle.edit = edit
        played = play(oracle, options, count=12)
        assert any(values in changed for values in played[5:])

    def test_changes_of_the_space_that_leave_decisions_open_are_completed(self, make):
        oracle = make(hyperparameters=choices(*[9] * 6), seed=0)
        oracle.edit = lambda values, rng: {"d0": "option0"}
        played = play(oracle, options, count=12)
        assert all(len(values) == 6 for values in played)

    def test_paths_that_nobody_knows_cannot_be_asked_for(self, make):
        oracle = make(hyperparameters=choices(4, 4), encoding="paths")
        with pytest.raises(ValueError, match=r"Received: encoding='paths', paths=None\. Use"):
            play(oracle, options)

    @pytest.mark.parametrize("name", ["predictor", "encoding", "acquisition"])
    def test_an_unknown_name_is_refused(self, make, name):
        with pytest.raises(ValueError, match=rf"Unknown {name}\. Received: {name}='mpl'"):
            make(**{name: "mpl"})

    @pytest.mark.parametrize(
        "number", [{"num_initial_points": 1}, {"ensemble": 1}, {"num_candidates": 0}], ids=str
    )
    def test_too_few_of_anything_are_refused(self, make, number):
        with pytest.raises(ValueError, match="is out of its range"):
            make(**number)
