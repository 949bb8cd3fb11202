import functools
import statistics

import numpy as np
import pytest

from kerasnas.oracles.evolution import AgingEvolution
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
    rough,
)
from search_spaces.edits import neighbours
from search_spaces.graph import GraphNetwork


class TestAgingEvolution(OracleContract, SeveralObjectivesContract):
    @pytest.fixture
    def make(self):
        def new(objective="loss", max_trials=None, **settings):
            sizes = {"population_size": 3, "tournament_size": 2}
            return AgingEvolution(objective, max_trials, **sizes, **settings)

        return new


@pytest.fixture
def make():
    return functools.partial(AgingEvolution, "loss", crossover=0.0, seed=0)


def step(oracle, score=None):
    """Run a trial, or leave it running if there is no score. Return its values."""
    oracle.verbose = 0
    trial = oracle.create_trial(f"tuner{len(oracle.running)}")
    if score is not None:
        end(oracle, trial, score)
    return trial.hyperparameters.values


def distance(one, other):
    return sum(one[name] != other[name] for name in one)


def test_age_not_score_removes_a_trial(make):
    oracle = make(hyperparameters=bits(12), population_size=2, tournament_size=2)
    best = step(oracle, 0.0)
    step(oracle, 100.0)
    child = step(oracle, 99.0)
    assert distance(best, child) == 1
    assert distance(child, step(oracle)) == 1
    assert oracle.parent_of(oracle.trials["0002"]) == "0000"
    assert oracle.parent_of(oracle.trials["0003"]) == "0002"  # the best has retired


def test_a_child_differs_from_the_best_of_the_tournament_in_one_decision(make):
    oracle = make(hyperparameters=choices(*[4] * 10), population_size=8, tournament_size=8)
    played = play(oracle, rough, count=40)
    for number in range(8, 40):
        parent = min(played[number - 8 : number], key=rough)
        assert distance(parent, played[number]) == 1
        parent_id = oracle.parent_of(oracle.trials[f"{number:04d}"])
        assert oracle.trials[parent_id].hyperparameters.values == parent


def test_the_first_candidates_have_no_parent(make):
    oracle = make(hyperparameters=bits(12), population_size=5)
    play(oracle, options, count=9)
    parents = [oracle.parent_of(trial) for trial in oracle.trials.values()]
    assert parents[:5] == [None] * 5
    assert all(parents[5:])


def test_a_child_of_two_has_each_decision_of_one_of_them_but_one(make):
    oracle = make(
        hyperparameters=choices(*[50] * 8),
        population_size=2,
        tournament_size=1,
        crossover=1.0,
    )
    values = [step(oracle, 1.0) for _ in range(3)]
    one, other, child = ([*v.values()] for v in values)
    strange = [c not in pair for c, *pair in zip(child, one, other, strict=True)]
    assert sum(strange) == 1


def test_of_two_parents_the_nearer_is_named(make):
    oracle = make(
        hyperparameters=choices(*[50] * 9), population_size=6, crossover=1.0, tournament_size=3
    )
    played = play(oracle, options, count=40)
    for child in list(oracle.trials.values())[6:]:
        number = int(child.trial_id)
        parent = oracle.trials[oracle.parent_of(child)].hyperparameters.values
        young = played[number - 6 : number]
        shared = distance(parent, child.hyperparameters.values)
        assert parent in young
        assert shared <= 5  # of 9: at most 4 are of the other parent, one of neither


def test_a_winner_of_larger_tournaments_is_better(make):
    def mean_rank(size):
        oracle = make(hyperparameters=bits(20), population_size=10, tournament_size=size)
        play(oracle, rough, count=60)
        trials = list(oracle.trials.values())
        ranks = []
        for number in range(10, 60):
            young = sorted(trials[number - 10 : number], key=lambda trial: trial.score)
            parent = oracle.parent_of(trials[number])
            ranks.append([trial.trial_id for trial in young].index(parent))
        return statistics.mean(ranks)

    assert mean_rank(1) == pytest.approx(4.5, abs=1.2)
    assert mean_rank(5) == pytest.approx(5 / 6, abs=0.5)  # (10 + 1) / (5 + 1) - 1
    assert mean_rank(10) == 0.0


def test_a_failed_trial_is_no_parent(make):
    oracle = make(hyperparameters=bits(12), population_size=2, tournament_size=2)
    for score in (1.0, float("nan"), 2.0, float("nan"), float("nan")):
        step(oracle, score)
    step(oracle, 3.0)
    parents = {oracle.parent_of(trial) for trial in oracle.trials.values()}
    assert parents == {None, "0000"}


def test_children_are_bred_of_what_has_finished_while_others_run(make):
    oracle = make(hyperparameters=bits(12), population_size=2, tournament_size=2)
    running = step(oracle)
    finished = [step(oracle, score) for score in (2.0, 1.0)]
    child = step(oracle)
    assert distance(finished[1], child) == 1
    assert child != running


def test_where_all_neighbours_are_tried_more_is_changed(make):
    oracle = make(hyperparameters=bits(3), population_size=2, tournament_size=2)
    scores = iter([1.0, *[2.0] * 7])
    oracle.population_size = 8  # so that the best never retires
    assert len(play(oracle, lambda _: next(scores))) == 8


def test_the_parents_are_in_the_journal(make, tmp_path):
    def new():
        oracle = make(hyperparameters=bits(12), population_size=3, tournament_size=2)
        return resume(oracle, tmp_path)

    oracle = new()
    play(oracle, options, count=8)
    again = new()
    again.reload()
    assert [again.parent_of(trial) for trial in again.trials.values()] == [
        oracle.parent_of(trial) for trial in oracle.trials.values()
    ]


def test_edits_of_the_space_are_used_as_often_as_wanted(make):
    def set_all(values, rng):
        return dict.fromkeys(values, "option3")

    def share(edits):
        oracle = make(
            hyperparameters=choices(*[4] * 10),
            population_size=2,
            edits=edits,
            identity=lambda values: rng.random(),
        )
        rng = np.random.default_rng(0)
        oracle.edit = set_all
        played = play(oracle, rough, count=60)[2:]
        return np.mean([set(values.values()) == {"option3"} for values in played])

    assert share(0.0) == 0.0
    assert share(0.5) == pytest.approx(0.5, abs=0.2)
    assert share(1.0) == 1.0


def test_graphs_are_edited(make):
    space = GraphNetwork((16, 16, 1), 3, max_nodes=5)
    oracle = make(
        hyperparameters=space.hyperparameters(),
        population_size=3,
        edits=1.0,
        costs=space.costs,
        limits={"macs": "2M"},
        identity=space.identity,
    )
    oracle.edit = space.edited
    play(oracle, rough, count=12)
    for trial in list(oracle.trials.values())[3:]:
        parent = oracle.trials[oracle.parent_of(trial)]
        graphs = [space.graph_of(t.hyperparameters.values) for t in (parent, trial)]
        assert graphs[1] in set(neighbours(graphs[0]))


def test_the_population_is_a_quarter_of_the_search_by_default(make):
    sizes = {trials: make(max_trials=trials).population_size for trials in (1, 30, 100, 1000)}
    assert sizes == {1: 2, 30: 7, 100: 25, 1000: 30}
    assert make().population_size == 30
    assert [make(max_trials=trials).tournament_size for trials in (4, 30, 100)] == [2, 2, 8]


def test_it_finds_more_than_random_search(make):
    def best(oracle):
        return min(map(options, play(oracle, options)))

    space, seeds = choices(*[4] * 12), range(5)
    bred = [best(make(hyperparameters=space, seed=s, max_trials=100)) for s in seeds]
    drawn = [
        best(RandomSearch("loss", hyperparameters=space, seed=s, max_trials=100))
        for s in seeds
    ]
    assert max(bred) < min(drawn)


def test_reopened_with_more_trials_it_goes_on_breeding(tmp_path):
    def new(max_trials):
        oracle = AgingEvolution(
            "loss", max_trials, hyperparameters=choices(*[4] * 12), crossover=0.0, seed=0
        )
        return resume(oracle, tmp_path)

    play(new(20), options)
    more = new(200)
    assert more.population_size == 30
    play(more, options, count=8)
    trials = list(more.trials.values())
    parents = [more.parent_of(trial) for trial in trials]
    assert parents[:5] == [None] * 5
    assert len(parents) == 28
    assert all(parents[5:])
    scores = [trial.score for trial in trials]
    good = sorted(scores[:20])[:10]  # of tournaments of 10 none is won by the worse half
    assert all(more.trials[parent].score in good for parent in parents[20:25])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population_size": 1}, "Received: population_size=1. Give at least 2"),
        (
            {"population_size": 5, "tournament_size": 6},
            "Received: tournament_size=6, population_size=5. Give a number from 1 to 5",
        ),
        ({"tournament_size": 0}, "Received: tournament_size=0, population_size=30"),
        ({"crossover": 1.5}, "Received: crossover=1.5. Give a probability"),
        ({"edits": -0.1}, "Received: edits=-0.1. Give a probability"),
        ({"mutations": 0}, "Received: mutations=0. Give at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AgingEvolution("loss", **settings)
