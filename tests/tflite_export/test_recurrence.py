import keras
import pytest

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
