"""What all scores share."""

import math

import keras
import numpy as np
import pytest
from keras import layers

from kerasnas.training_free import SCORES, macs, params
from search_spaces import costs
from search_spaces.realise import realise


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (16, 8, 8, 1)).astype("uint8"), np.arange(16) % 3


@pytest.fixture
def model(space):
    made = realise(space.network({"first": "conv8", "second": "conv4"}), seed=0)
    made.compile(**space.task.compile_arguments())
    return made


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_repeatable_and_leaves_the_model_as_it_is(model, problem, name):
    weights = [w.copy() for w in model.get_weights()]
    answers = model(problem[0]).numpy()
    score = SCORES[name].ask(model, *problem)
    assert math.isfinite(score)
    assert SCORES[name].ask(model, *problem) == score
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(model(problem[0]).numpy(), answers)
    assert model.loss is not None


def several(left, right):
    """A network of two inputs by name."""
    starts = {"left": keras.Input((3,), name="left"), "right": keras.Input((5,), name="right")}
    x = layers.Concatenate()([starts["left"], starts["right"]])
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(60)(x)))
    return keras.Model(starts, layers.Dense(2)(x)), {"left": left, "right": right}


def sequence(left, right):
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(60, "relu"),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    ), np.concatenate([left, right], axis=1)


@pytest.mark.parametrize("make", [several, sequence])
def test_any_built_model_can_be_scored(make):
    rng = np.random.default_rng(0)
    model, x = make(rng.normal(size=(9, 3)), rng.normal(size=(9, 5)))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    y = np.arange(9) % 2
    assert all(math.isfinite(score.ask(model, x, y)) for score in SCORES.values())


@pytest.mark.parametrize("name", SCORES)
def test_a_feature_is_positive_and_in_the_order_of_its_score(name):
    usual = {"jacob_cov": [-1e6, -80.0, -64.0], "naswot": [-200.0, 500.0, 700.0]}
    scores = usual.get(name, [0.5, 20.0, 300.0])
    if name == "zen":
        scores = [-20.0, 0.0, 30.0]
    features = [SCORES[name].positive(score, 64) for score in scores]
    assert features == sorted(set(features))
    assert features[0] > 0


def test_sizes_are_those_of_the_description(space, model):
    network = space.network({"first": "conv8", "second": "conv4"})
    assert params(model) == costs.params(network)
    assert macs(model) == costs.macs(network)
