import keras
import numpy as np
import pytest

from tflite_export.folding import fold

layers = keras.layers


def settle(model, seed=0):
    """Weights as after training: no scale is 1, no shift is 0."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            settle(layer, seed)
        elif isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


def chain(shape, *stack):
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return settle(keras.Model(inputs, x))


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


def assert_same(model, folded, tolerance=1e-4):
    x = np.random.default_rng(1).normal(size=(16, *model.input_shape[1:])).astype("float32")
    expected = np.asarray(model(x, training=False))
    assert expected.std() > 0.01
    np.testing.assert_allclose(np.asarray(folded(x)), expected, atol=tolerance)


def norm(**kwargs):
    return layers.BatchNormalization(**kwargs)


@pytest.mark.parametrize(
    ("stack", "left"),
    [
        ([layers.Conv2D(4, 3, use_bias=False), norm()], ["Conv2D"]),
        ([layers.Conv2D(4, 3), norm(center=False, scale=False)], ["Conv2D"]),
        ([layers.Conv2D(6, 3, groups=3), norm()], ["Conv2D"]),
        ([layers.DepthwiseConv2D(3, depth_multiplier=2), norm()], ["DepthwiseConv2D"]),
        ([layers.Dense(5), norm(), layers.ReLU()], ["Dense", "ReLU"]),
        ([layers.Conv2D(4, 3), norm(), norm()], ["Conv2D"]),
        ([layers.Dropout(0.5), layers.Dense(3), layers.GaussianNoise(1.0)], ["Dense"]),
        ([layers.SeparableConv2D(4, 3), norm()], ["DepthwiseConv2D", "Conv2D"]),
    ],
)
def test_what_only_training_needs_is_folded_into_the_layer_before(stack, left):
    model = chain((8, 8, 3), *stack)
    folded = fold(model)
    assert kinds(folded) == left
    assert_same(model, folded)


def test_norm_behind_an_activation_goes_into_the_dense_layer_behind_or_a_depthwise_one():
    model = chain(
        (8, 8, 3),
        layers.Conv2D(4, 3, activation="relu"),
        norm(),
        layers.GlobalAveragePooling2D(),
        norm(),
        layers.Dense(3),
    )
    folded = fold(model)
    assert kinds(folded) == ["Conv2D", "DepthwiseConv2D", "GlobalAveragePooling2D", "Dense"]
    assert_same(model, folded)


def test_a_convolution_that_others_read_too_keeps_its_weights():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(inputs)
    y = layers.BatchNormalization()(x)
    model = settle(keras.Model(inputs, layers.Add()([x, y])))
    folded = fold(model)
    assert kinds(folded) == ["Conv2D", "DepthwiseConv2D", "Add"]
    assert_same(model, folded)


@pytest.mark.parametrize(
    ("offset", "padding", "stays"),
    [(0.0, "same", False), ([-1.0, 0.0, 1.0], "valid", False), (-1.0, "same", True)],
)
def test_a_rescaling_is_folded_unless_padding_meets_an_offset(offset, padding, stays):
    rescaling = layers.Rescaling([2.0, 0.5, 0.1] if offset else 0.5, offset)
    for behind in (
        layers.Conv2D(4, 3, padding=padding),
        layers.DepthwiseConv2D(3, 1, padding),
    ):
        model = chain((8, 8, 3), rescaling, behind)
        folded = fold(model)
        assert ("Rescaling" in kinds(folded)) == stays
        assert_same(model, folded)


def test_sequential_and_nested_models_become_one(model):
    inner = keras.Sequential([keras.Input((8, 8, 4)), norm(), layers.ReLU(name="relu")])
    outer = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 1), settle(inner), layers.ReLU(name="relu")]
    )
    folded = fold(outer)
    assert kinds(folded) == ["Conv2D", "ReLU", "ReLU"]
    assert_same(outer, folded)


def test_every_layer_of_the_mobile_spaces_is_folded_and_the_model_left_alone(model, x):
    before = model.get_weights()
    folded = fold(model)
    assert "BatchNormalization" not in kinds(folded)
    np.testing.assert_allclose(np.asarray(folded(x)), np.asarray(model(x)), atol=1e-4)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class TestRefuses:
    def test_norm_that_has_nowhere_to_go_by_name(self):
        model = chain((8,), layers.Dense(4, activation="relu"), norm(name="lonely"))
        with pytest.raises(ValueError, match=r"Received: .*BatchNormalization 'lonely'\. "):
            fold(model)
        model = chain((8, 8, 2), norm(axis=1, name="rows"))
        with pytest.raises(ValueError, match=r"along axis -1"):
            fold(model)

    def test_layers_called_twice_and_operations_by_name(self):
        inputs = keras.Input((4,))
        twice = layers.Dense(4, name="twice")
        with pytest.raises(ValueError, match=r"called once.*Dense 'twice' 2 times"):
            fold(keras.Model(inputs, twice(twice(inputs))))
        with pytest.raises(ValueError, match=r"operations Add .*keras\.layers\.Add"):
            fold(keras.Model(inputs, inputs + 1.0))

    def test_channels_first(self):
        model = chain(
            (3, 8, 8), layers.ZeroPadding2D(data_format="channels_first", name="early")
        )
        with pytest.raises(ValueError, match=r"channels last.*ZeroPadding2D 'early'"):
            fold(model)

    def test_what_is_no_functional_model(self):
        class Own(keras.Model):
            def call(self, x):
                return x

        own = Own()
        own(np.zeros((1, 2)))
        with pytest.raises(ValueError, match=r"Received: a subclassed model"):
            fold(own)
        with pytest.raises(ValueError, match=r"Received: an unbuilt model"):
            fold(keras.Sequential([layers.Dense(2)]))
        with pytest.raises(TypeError, match=r"Received: str"):
            fold("model.keras")
        a, b = keras.Input((3,)), keras.Input((3,))
        with pytest.raises(ValueError, match=r"one input and one output.*2 inputs"):
            fold(keras.Model([a, b], layers.Add()([a, b])))
