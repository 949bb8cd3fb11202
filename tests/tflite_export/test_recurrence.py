import keras
import numpy as np
import pytest

import tflite_export
from tflite_export.recurrence import unrolled

layers = keras.layers


def nested():
    inner = keras.Sequential(
        [
            keras.Input((5, 3)),
            layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
            layers.GRU(2, return_sequences=True, unroll=True),
        ]
    )
    return keras.Sequential([keras.Input((5, 3)), inner, layers.SimpleRNN(2)])


def settings(model):
    inner, last = model.layers
    both, middle = inner.layers
    return [both.forward_layer.unroll, both.backward_layer.unroll, middle.unroll, last.unroll]


def test_recurrent_layers_are_unrolled_wherever_they_are():
    model = nested()
    with unrolled(model):
        assert settings(model) == [True, True, True, True]
    assert settings(model) == [False, False, True, False]


def test_layers_are_as_before_after_an_error_too():
    model = nested()
    with pytest.raises(RuntimeError), unrolled(model):
        raise RuntimeError
    assert settings(model) == [False, False, True, False]


def test_a_model_without_recurrent_layers_is_left_alone(model):
    before = model.get_config()
    with unrolled(model):
        assert model.get_config() == before


class Memory(layers.Layer):
    """A layer that holds recurrent ones where only Keras finds them."""

    def __init__(self):
        super().__init__()
        self.memories = {"a": [layers.GRU(2, return_sequences=True), layers.SimpleRNN(2)]}

    def call(self, x):
        for layer in self.memories["a"]:
            x = layer(x)
        return x


@pytest.mark.parametrize(
    ("shape", "layer"),
    [((2, 4, 3), layers.TimeDistributed(layers.LSTM(2))), ((4, 3), Memory())],
)
def test_those_inside_of_other_layers_become_integers_too(shape, layer):
    model = keras.Sequential([keras.Input(shape), layer])
    x = np.random.default_rng(0).random((32, *shape), dtype=np.float32)
    content = tflite_export.convert(model, "int8", x)
    assert "WHILE" not in tflite_export.operators(content)
    expected = np.asarray(model(x))
    error = np.abs(expected - tflite_export.run(content, x))
    assert error.max() < 0.1 * np.ptp(expected)


def test_those_that_keras_does_not_track_are_refused_in_words_that_say_so():
    hidden = layers.GRU(2)
    hidden.build((None, 4, 3))
    call = layers.Lambda(lambda x: hidden(x), output_shape=(2,), name="hider")
    model = keras.Sequential([keras.Input((4, 3)), call])
    message = r"loops.*layer 'hider'.*wherever Keras tracks them.*not inside of a function"
    with pytest.raises(ValueError, match=message):
        tflite_export.convert(model, "int8", np.zeros((2, 4, 3), np.float32))
