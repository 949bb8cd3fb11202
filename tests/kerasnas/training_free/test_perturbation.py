"""The Zen score, against NumPy by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasnas.training_free import zen
from kerasnas.training_free.copies import Unscorable


def network(widths=(5, 7), dropout=0.0, pooled=False, function="linear"):
    x = start = keras.Input((6, 6, 3))
    for width in widths:
        x = layers.Conv2D(width, 1, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation(function)(x)
    x = layers.GlobalAveragePooling2D()(layers.Dropout(dropout)(x))
    return keras.Model(start, layers.Dense(4)(x))


def test_it_is_what_features_move_by_before_normalisation():
    rng = np.random.default_rng(3)
    one, two = rng.standard_normal((3, 5)), rng.standard_normal((5, 7))
    rng.standard_normal((7, 4))  # of the head
    x = rng.standard_normal((8, 6, 6, 3))
    moved = x + 0.01 * rng.standard_normal((8, 6, 6, 3))

    def features(x):
        scales = []
        for kernel in (one, two):
            x = x @ kernel
            variance = x.var(axis=(0, 1, 2))
            scales.append(variance.mean())
            x = np.maximum((x - x.mean(axis=(0, 1, 2))) / np.sqrt(variance + 1e-3), 0)
        return x, scales

    (before, scales), (after, _) = features(x), features(moved)
    distance = np.abs(after - before).sum(axis=(1, 2, 3)).mean()
    expected = np.log(distance) + 0.5 * np.log(scales).sum()
    score = zen(network(function="relu"), seed=3, examples=8, repeats=1)
    assert score == pytest.approx(expected, abs=1e-3)


def test_weights_and_dropout_have_no_say():
    assert zen(network()) == zen(network(dropout=0.9))  # with other random weights


def test_seeds_differ():
    assert zen(network(), seed=1) != zen(network(), seed=2)


def test_width_and_depth_promise_more():
    assert zen(network((5, 7))) < zen(network((20, 7)))
    assert zen(network((5, 7))) < zen(network((5, 5, 7)))


def test_normalisation_is_needed(dense, drawn):
    with pytest.raises(Unscorable, match="which has none"):
        zen(dense(*drawn((3, 4), (4, 2))))


def test_features_that_nothing_moves_are_the_worst():
    start = keras.Input((3,))
    x = layers.BatchNormalization()(layers.Dense(4)(layers.Rescaling(0.0)(start)))
    assert zen(keras.Model(start, layers.Dense(2)(x))) == -np.inf
