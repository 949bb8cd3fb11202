"""The grid agrees with KerasTuner on which candidates there are."""

import keras_tuner
import numpy as np
import pytest

from benchmarks.grid import Grid


def space():
    hp = keras_tuner.HyperParameters()
    hp.Choice("depth", [0, 1, 2])
    with hp.conditional_scope("depth", [1, 2]):
        hp.Choice("kind", ["conv", "pool"])
        with hp.conditional_scope("kind", ["conv"]):
            hp.Boolean("norm")
    return hp


@pytest.fixture
def grid():
    return Grid(space())


def test_order_is_read_as_keras_tuner_means_it(grid):
    assert [decision.ordered for decision in grid.decisions] == [True, False, False]


def test_only_active_decisions_are_drawn(grid):
    rng = np.random.default_rng(0)
    drawn = {tuple(grid.draw(rng).items()) for _ in range(200)}
    assert len(drawn) == 1 + 2 * 3
    assert (("depth", 0),) in drawn


def test_neighbours_differ_in_one_decision_and_what_hangs_on_it(grid):
    values = {"depth": 1, "kind": "conv", "norm": True}
    around = grid.neighbours(values, np.random.default_rng(0))
    assert {"depth": 0} in around
    assert {"depth": 1, "kind": "pool"} in around
    assert {"depth": 1, "kind": "conv", "norm": False} in around
    assert {"depth": 2, "kind": "conv", "norm": True} in around
    assert len(around) == 4


def test_keys_round_trip(grid):
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = grid.draw(rng)
        assert grid.values(grid.key(values)) == values
    assert grid.key({"depth": 0}) == (0, -1, -1)


def test_active_drops_what_keras_tuner_leaves_behind(grid):
    assert grid.active({"depth": 0, "kind": "conv", "norm": True}) == {"depth": 0}


def test_other_hyperparameters_are_refused():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 0.0, 1.0)
    with pytest.raises(TypeError, match="Only `Choice` and `Boolean`"):
        Grid(hp)
