"""Oracles and policies together, without training."""

import json
import math
import random

import pytest

from kerasnas.fidelity import Hyperband, LearningCurve, SuccessiveHalving
from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.testing import bits, choices, end, options, resume, rough

ORACLES = {"random": RandomSearch, "gp": GaussianProcess}
POLICIES = {
    "halving": lambda: SuccessiveHalving(9, 1),
    "hyperband": lambda: Hyperband(9),
    "curves": lambda: LearningCurve(9, min_trials=2),
    "halving with curves": lambda: LearningCurve(SuccessiveHalving([4, 12]), min_trials=2),
    "examples": lambda: SuccessiveHalving(1.0, dimension="examples"),
}


PAIRS = [*(("random", name) for name in POLICIES), ("gp", "halving"), ("gp", "hyperband")]


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request):
    oracle, policy = request.param
    return ORACLES[oracle], POLICIES[policy]


def new(oracle_class, policy, **options):
    options = {"hyperparameters": choices(3, 3, 3, 3), "seed": 2, "max_trials": 14} | options
    oracle = oracle_class("loss", fidelity=policy(), **options)
    oracle.verbose = 0
    return oracle


def own(values):
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def loss_after(values, epoch):
    """What a candidate reaches by an epoch, from 1: some reach less, and sooner."""
    return rough(own(values)) + (2.0 + rough({"rate": own(values)})) / epoch


def train(oracle, trial, loss=loss_after):
    """Carry out a run as a tuner would, and say what it was."""
    values = dict(trial.hyperparameters.values)
    first = values.get("tuner/initial_epoch", 0)
    last = values.get("tuner/epochs", first + 4)  # four epochs where levels are something else
    losses = []
    for epoch in range(first, last):
        losses.append(loss(values, epoch + 1))
        if not oracle.report(trial.trial_id, epoch, {"loss": losses[-1]}):
            break
    end(oracle, trial, min(losses))
    return trial.trial_id, values, len(losses)


def play(oracle, count=10_000, loss=loss_after):
    runs = []
    while len(runs) < count:
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            break
        runs.append(train(oracle, trial, loss))
    return runs


def facts(oracle):
    trials = [(t.trial_id, t.status, t.score, own(t.hyperparameters.values)) for t in
              oracle.trials.values()]  # fmt: skip
    return json.dumps(trials), oracle.records(), oracle.end_order


def test_all_candidates_are_tried_and_some_trained_fully(pair):
    oracle_class, policy = pair
    oracle = new(oracle_class, policy)
    runs = play(oracle)
    assert len(oracle.trials) == 14
    assert len({json.dumps(own(values)) for _, values, _ in runs}) == 14
    top = policy().levels[-1]
    levels = [record.level for record in oracle.records()]
    assert levels.count(top) >= 1
    assert {trial.status for trial in oracle.trials.values()} == {"COMPLETED"}


def test_policies_save_training(pair):
    oracle_class, policy = pair
    oracle = new(oracle_class, policy, max_trials=30)
    spent = sum(epochs for _, _, epochs in play(oracle))
    if oracle.fidelity.dimension == "epochs":
        assert spent < 0.85 * 30 * oracle.fidelity.levels[-1]
    else:
        levels = [level for record in oracle.records() for level in record.losses]
        assert sum(levels) < 0.5 * 30


@pytest.mark.parametrize("ended", [1, 7, 13])
def test_killed_at_any_run_it_continues(pair, ended, tmp_path):
    oracle_class, policy = pair
    whole = new(oracle_class, policy)
    uninterrupted = play(whole)
    killed = resume(new(oracle_class, policy), tmp_path)
    first = play(killed, ended)
    open_trial = killed.create_trial("tuner0")
    if open_trial.status == "RUNNING":  # killed in the middle of a run
        killed.report(open_trial.trial_id, 0, {"loss": 5.0})
    again = resume(new(oracle_class, policy), tmp_path)
    assert first + play(again) == uninterrupted
    assert facts(again) == facts(whole)


@pytest.mark.parametrize("seed", range(2))
def test_workers_side_by_side_leave_nothing_undone(pair, seed):
    oracle_class, policy = pair
    oracle = new(oracle_class, policy, max_trials=20)
    rng = random.Random(seed)
    working, idle = {}, 0
    for _ in range(1000):
        name = f"tuner{rng.randrange(3)}"
        if name in working:
            train(oracle, working.pop(name))
            continue
        trial = oracle.create_trial(name)
        if trial.status == "RUNNING":
            assert trial.trial_id not in {other.trial_id for other in working.values()}
            working[name] = trial
        elif not working:
            assert trial.status == "STOPPED"
            break
        else:
            assert trial.status in ("IDLE", "STOPPED")
            idle += 1
    else:
        pytest.fail("The search did not end.")
    assert len(oracle.trials) == 20
    assert max(record.level for record in oracle.records()) == policy().levels[-1]
    assert all(record.running is None for record in oracle.records())


def test_runs_that_fail_are_tolerated(pair):
    oracle_class, policy = pair

    def loss(values, epoch):
        return (
            math.nan if int(1000 * rough(own(values))) % 4 == 0 else loss_after(values, epoch)
        )

    oracle = new(oracle_class, policy, max_trials=20, max_consecutive_failed_trials=20)
    play(oracle, loss=loss)
    assert len(oracle.trials) == 20
    assert 0 < len(oracle.failed) < 20
    assert all(record.settled for record in oracle.records() if not record.losses)


def test_a_small_space_is_gone_through_once(pair):
    oracle_class, policy = pair
    oracle = new(oracle_class, policy, hyperparameters=bits(3), max_trials=None)
    play(oracle)
    assert len(oracle.trials) == 8
    assert max(record.level for record in oracle.records()) == policy().levels[-1]


def test_limits_hold(pair):
    oracle_class, policy = pair
    oracle = new(
        oracle_class,
        policy,
        costs=lambda values: {"params": 1 + options(own(values))},
        limits={"params": 4},
    )
    runs = play(oracle)
    assert max(options(own(values)) for _, values, _ in runs) <= 3


def test_another_policy_is_another_search(tmp_path):
    play(resume(new(RandomSearch, POLICIES["halving"]), tmp_path), 3)
    with pytest.raises(ValueError, match="another search"):
        play(resume(new(RandomSearch, POLICIES["hyperband"]), tmp_path), 3)


def test_a_method_is_told_what_is_expected_at_the_highest_level():
    told = []

    class Listening(RandomSearch):
        def suggest(self, finished):
            told.append({trial.trial_id: trial.score for trial in finished})
            return super().suggest(finished)

    oracle = new(Listening, POLICIES["halving"], max_trials=30)
    play(oracle)
    last = told[-1]
    trained = {record.trial_id: record for record in oracle.records()}
    for trial_id, score in last.items():
        if trained[trial_id].level == 1.0:
            # After 1 epoch it has about 2 more to lose than after 9.
            assert score < trained[trial_id].loss - 1.0


def test_a_process_that_learns_finds_better_ones_with_halving_than_halving_alone():
    def loss(values, epoch):
        return options(own(values)) + 1.0 / epoch

    def found(oracle_class):
        oracle = new(
            oracle_class,
            POLICIES["halving"],
            hyperparameters=choices(*[4] * 6),
            max_trials=24,
        )
        play(oracle, loss=loss)
        return oracle.get_best_trials(1)[0].score

    assert found(GaussianProcess) < found(RandomSearch)
