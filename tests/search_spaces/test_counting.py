"""Figures by hand, for single layers."""

import keras
import pytest
from keras import layers

from search_spaces.counting import check_stock, count_macs, count_params


def model(layer, *shape, dtype="float32"):
    x = keras.Input(shape, dtype=dtype)
    return keras.Model(x, layer(x))


CASES = {
    "conv": (
        layers.Conv2D(5, 3, 2, padding="same"),
        (7, 9, 2),
        4 * 5 * 9 * 2 * 5,
        9 * 2 * 5 + 5,
    ),
    "grouped": (layers.Conv2D(4, 3, groups=2), (5, 5, 6), 9 * 9 * 3 * 4, 9 * 3 * 4 + 4),
    "dilated": (layers.Conv2D(2, 3, dilation_rate=2), (9, 9, 1), 25 * 9 * 2, 9 * 2 + 2),
    "series": (layers.Conv1D(4, 3, padding="causal"), (10, 2), 10 * 3 * 2 * 4, 3 * 2 * 4 + 4),
    "depthwise": (layers.DepthwiseConv2D((3, 1)), (6, 4, 5), 4 * 4 * 3 * 5, 3 * 5 + 5),
    "transposed": (
        layers.Conv2DTranspose(3, 2, 2),
        (4, 4, 5),
        # Each pixel of the input is multiplied by all weights.
        4 * 4 * 2 * 2 * 5 * 3,
        2 * 2 * 5 * 3 + 3,
    ),
    "dense": (layers.Dense(4), (10, 3), 10 * 3 * 4, 3 * 4 + 4),
    "projection": (
        layers.EinsumDense("btc,cd->btd", (10, 4), bias_axes="td"),
        (10, 3),
        10 * 3 * 4,
        3 * 4 + 10 * 4,
    ),
    "scale": (layers.EinsumDense("btc,c->btc", (10, 3)), (10, 3), 0, 3),
    "gru": (layers.GRU(4), (6, 3), 6 * 3 * 4 * (3 + 4), 3 * 4 * (3 + 4) + 2 * 3 * 4),
    "lstm": (layers.LSTM(4), (6, 3), 6 * 4 * 4 * (3 + 4), 4 * 4 * (3 + 4 + 1)),
    "both ways": (
        layers.Bidirectional(layers.LSTM(4)),
        (6, 3),
        2 * 6 * 4 * 4 * (3 + 4),
        2 * 4 * 4 * (3 + 4 + 1),
    ),
    "norm": (layers.BatchNormalization(), (6, 3), 0, 4 * 3),
    "pool": (layers.AveragePooling2D(2), (6, 6, 3), 0, 0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layer_has_the_figures_of_the_textbook(name):
    layer, shape, macs, params = CASES[name]
    assert count_macs(model(layer, *shape)) == macs
    assert count_params(model(layer, *shape)) == params


def test_attention_multiplies_all_pairs_of_positions():
    x = keras.Input((7, 6))
    made = keras.Model(x, layers.MultiHeadAttention(2, 4)(x, x))
    # Queries, keys, values and the way back; scores, and sums by scores.
    assert count_macs(made) == 4 * 7 * 6 * 8 + 2 * 7 * 7 * 8
    assert count_params(made) == 3 * (6 * 8 + 8) + 8 * 6 + 6


def test_tokens_are_looked_up():
    made = model(layers.Embedding(20, 4), 7, dtype="int32")
    assert (count_macs(made), count_params(made)) == (0, 80)


class Mine(layers.Layer):
    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 2))

    def call(self, x):
        return x @ self.matrix

    def compute_output_shape(self, shape):
        return (*shape[:-1], 2)


def test_matrices_of_unknown_use_are_not_passed_over():
    with pytest.raises(TypeError, match=r"Received: Mine with kernels of \[\(3, 2\)\]"):
        count_macs(model(Mine(), 3))


def test_layers_of_others_are_found_inside_others():
    check_stock(model(layers.TimeDistributed(layers.Dense(2)), 4, 3))
    with pytest.raises(TypeError, match="Received: Mine of"):
        check_stock(model(layers.TimeDistributed(Mine()), 4, 3))
