import keras
import numpy as np
import pytest

import tflite_export
from tflite_export.conversion import float_file
from tflite_export.equalization import equalized
from tflite_export.inspection import operators_in
from tflite_export.quantization import quantize
from tflite_export.ranges import activations

layers = keras.layers


def network(*stack):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((8, 8, 1)), *stack])


def scaled(reader, *between):
    """A network whose second layer reads channels of many scales."""
    first = layers.Conv2D(8, 3, activation="relu", name="first")
    model = network(first, *between, reader, layers.Flatten(), layers.Dense(4))
    first, second = model.get_layer("first"), reader
    scale = np.geomspace(1, 1000, 8)
    kernel, bias = first.get_weights()
    first.set_weights([kernel * scale, (bias + 0.1) * scale])
    kernel, bias = second.get_weights()
    second.set_weights([kernel / scale[:, None], bias])
    return model


READERS = {
    "conv": (layers.Conv2D(6, 3, name="second"),),
    "dense": (layers.Dense(6, name="second"), layers.GlobalAveragePooling2D()),
    "depthwise": (layers.DepthwiseConv2D(3, name="second"),),
    "pooled": (layers.Conv2D(6, 3, name="second"), layers.MaxPooling2D()),
}


@pytest.mark.parametrize("kind", READERS)
def test_the_network_computes_the_same_and_int8_holds_it(kind, x):
    reader, *between = READERS[kind]
    model = scaled(reader, *between)
    content = float_file(model)
    even = equalized(content, x)
    expected = tflite_export.run(content, x)
    np.testing.assert_allclose(
        tflite_export.run(even, x), expected, atol=1e-4 * np.ptp(expected)
    )
    assert [o.name for o in operators_in(even)] == [o.name for o in operators_in(content)]

    def error(floats):
        return np.abs(tflite_export.run(quantize(floats, "int8", x), x) - expected).mean()

    assert error(even) < 0.2 * error(content)
    assert len(even) < 1.02 * len(content)


def test_the_largest_values_of_channels_are_alike_afterwards(x):
    model = scaled(layers.DepthwiseConv2D(3, name="second"))
    content = float_file(model)
    name = operators_in(content)[0].name

    def largest(floats):
        values = [v for found, v in activations(floats, x) if found == name]
        return np.concatenate(values).max(axis=(0, 1, 2))

    before, after = largest(content), largest(equalized(content, x))
    assert before.max() > 50 * before.min()
    assert after.max() < 1.01 * after.min()


def test_other_activations_and_tensors_with_two_readers_are_left(x):
    bounded = network(layers.Conv2D(4, 3, activation="relu6"), layers.Conv2D(2, 3))
    curved = network(layers.Conv2D(4, 3, activation="hard_swish"), layers.Conv2D(2, 3))
    inputs = keras.Input((8, 8, 1))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    residual = keras.Model(inputs, layers.Add()([y, layers.Conv2D(4, 1)(y)]))
    for model in (bounded, curved, residual):
        content = float_file(model)
        assert equalized(content, x) is content


def test_constants_that_layers_share_are_not_changed_for_others(x):
    # Equal biases are one constant of the file.
    model = network(*(layers.Conv2D(4, 3, activation="relu") for _ in range(3)))
    for layer in model.layers:
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * np.geomspace(1, 50, 4), np.full_like(bias, 0.25)])
    content = float_file(model)
    expected = tflite_export.run(content, x)
    np.testing.assert_allclose(
        tflite_export.run(equalized(content, x), x), expected, atol=1e-4 * np.ptp(expected)
    )


def test_dead_channels_do_no_harm(x):
    first = layers.Conv2D(4, 3, activation="relu")
    model = network(first, layers.Conv2D(3, 3))
    kernel, bias = first.get_weights()
    kernel[..., 0] = 0
    first.set_weights([kernel, bias - np.eye(4)[0]])
    content = float_file(model)
    even = tflite_export.run(equalized(content, x), x)
    assert np.isfinite(even).all()
    np.testing.assert_allclose(even, tflite_export.run(content, x), atol=1e-5)
