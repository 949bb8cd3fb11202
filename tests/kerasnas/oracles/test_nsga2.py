import keras_tuner
import numpy as np
import pytest

from kerasnas.fidelity._fidelity import EPOCHS, INITIAL
from kerasnas.fidelity.halving import SuccessiveHalving
from kerasnas.oracles.nsga2 import NSGA2
from kerasnas.oracles.pareto import hypervolume
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.testing import (
    OracleContract,
    SeveralObjectivesContract,
    bits,
    choices,
    end,
    options,
    play,
    resume,
)


class TestNSGA2(OracleContract, SeveralObjectivesContract):
    @pytest.fixture
    def make(self):
        def new(objective="loss", max_trials=None, **settings):
            return NSGA2(objective, max_trials, population_size=4, **settings)

        return new


TWO = [keras_tuner.Objective("loss", "min"), keras_tuner.Objective("params", "min")]


def ones(values):
    return sum(int(str(value)[-1]) for value in values.values())


def two(cls=NSGA2, seed=0, count=20, **settings):
    """A search for small losses and few ones, which are opposed in the first 12 decisions."""
    return cls(
        TWO,
        hyperparameters=bits(count),
        seed=seed,
        costs=lambda values: {"params": 1.0 + ones(values)},
        **settings,
    )


def loss(values):
    """Less for a one in the first 12 decisions, more for one in the others."""
    each = [int(str(values[f"d{i}"])[-1]) for i in range(len(values))]
    return float(12 - sum(each[:12]) + sum(each[12:]))


def children(oracle):
    """The trials of an oracle that have a parent, each with it."""
    for trial in oracle.trials.values():
        parent = oracle.parent_of(trial)
        if parent is not None:
            yield trial, oracle.trials[parent]


def test_only_the_best_fronts_have_children():
    oracle = two(population_size=6, crossover=0.0)
    play(oracle, loss, count=60)
    trials = list(oracle.trials.values())
    for child, parent in children(oracle):
        earlier = np.array([oracle.losses(t) for t in trials[: int(child.trial_id)]])
        mine = np.array(oracle.losses(parent))
        no_larger = np.all(earlier <= mine, axis=1)
        dominators = np.sum(no_larger & np.any(earlier < mine, axis=1))
        assert dominators < 6  # or six others would be on earlier fronts


def test_it_covers_more_of_the_front_than_random_search():
    def volume(cls, seed):
        oracle = two(cls, seed, max_trials=120)
        play(oracle, loss)
        losses = np.array([oracle.losses(t) for t in oracle.trials.values()])
        return hypervolume(losses, np.array([21.0, 22.0]))

    bred = [volume(NSGA2, seed) for seed in range(2)]
    drawn = [volume(RandomSearch, seed) for seed in range(2)]
    assert min(bred) > max(drawn)


def test_it_goes_towards_both_ends_of_the_front():
    oracle = two(max_trials=150)
    play(oracle, loss)
    front = np.array([oracle.losses(trial) for trial in oracle.pareto_front()])
    assert front[0, 0] <= 3  # of 0 to 20, at 10 by chance
    assert front[-1, 1] <= 4  # of 1 to 21, at 11 by chance
    assert list(front[:, 0]) == sorted(front[:, 0])


def test_objectives_may_be_large(tmp_path):
    oracle = NSGA2(
        [keras_tuner.Objective("accuracy", "max"), keras_tuner.Objective("recall", "max")],
        40,
        hyperparameters=choices(*[4] * 8),
        seed=0,
    )
    resume(oracle, tmp_path).verbose = 0
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        picked = options(trial.hyperparameters.values)
        first = float(str(trial.hyperparameters.values["d0"])[-1])
        oracle.update_trial(trial.trial_id, {"accuracy": picked, "recall": first})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    best = oracle.get_best_trials(1)[0].score
    assert max(t.score for t in list(oracle.trials.values())[:10]) < best
    # The journal tells the objectives, what became of each trial, and its parent.
    events = oracle.journal.read()
    assert events[0]["objectives"] == [["accuracy", "max"], ["recall", "max"]]
    ended = {event["trial"]: event["losses"] for event in events if event["event"] == "ended"}
    assert ended == {name: oracle.losses(trial) for name, trial in oracle.trials.items()}
    parents = [event.get("parent") for event in events if event["event"] == "created"]
    assert parents[:10] == [None] * 10
    assert all(parents[10:])


def test_with_one_objective_the_best_stay():
    oracle = NSGA2("loss", hyperparameters=bits(16), population_size=3, crossover=0.0, seed=0)
    scores = iter([5.0, 1.0, 3.0, 2.0, *[9.0] * 60])
    play(oracle, lambda _: next(scores), count=64)
    parents = [parent.trial_id for _, parent in children(oracle)][1:]
    # Of two of three the worst is never the better, and the best is in two pairs of three.
    assert set(parents) == {"0001", "0003"}
    assert 30 <= parents.count("0001") <= 50  # 40 expected


def test_a_failed_trial_is_no_parent():
    oracle = two(population_size=2)
    oracle.verbose = 0
    for score in (1.0, float("nan"), 2.0, float("nan"), 3.0):
        end(oracle, oracle.create_trial("tuner0"), score)
    failed = {trial.trial_id for trial in oracle.failed}
    assert failed == {"0001", "0003"}
    assert not failed & {parent.trial_id for _, parent in children(oracle)}


def test_a_trial_that_is_trained_on_is_a_parent_by_what_it_reached_before():
    def reported(trial):
        values = trial.hyperparameters.values
        own = {name: value for name, value in values.items() if name in "d0 d1 d2 d3 d4 d5"}
        return {"loss": options(own) + 9.0 / values[EPOCHS], "error": 9.0 - options(own)}

    oracle = NSGA2(
        [keras_tuner.Objective("loss", "min"), keras_tuner.Objective("error", "min")],
        30,
        hyperparameters=choices(*[4] * 6),
        population_size=3,
        seed=0,
        fidelity=SuccessiveHalving(9, 1),
    )
    oracle.verbose = 0
    running = [oracle.create_trial(f"tuner{index}") for index in range(3)]
    resumed, bred = set(), 0
    while running:
        trial = running.pop(0)
        tuner = next(t for t, ongoing in oracle.ongoing_trials.items() if ongoing is trial)
        oracle.update_trial(trial.trial_id, reported(trial))
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        again = oracle.create_trial(tuner)
        if again.status != "RUNNING":
            continue
        if again.hyperparameters.values[INITIAL]:
            resumed.add(again.trial_id)
        else:
            bred += oracle.parent_of(again) in {other.trial_id for other in running}
        running.append(again)
    assert len(oracle.end_order) == 30
    assert len(resumed) > 5
    assert bred > 0
    assert len(list(children(oracle))) > 15


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population_size": 0}, "Received: population_size=0. Give at least 2"),
        ({"crossover": -1.0}, "Received: crossover=-1.0. Give a probability"),
        ({"mutations": 0}, "Received: mutations=0. Give at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        NSGA2("loss", **settings)
