import keras
import numpy as np
import pytest
from keras import layers

from benchmarks import mlperf_tiny
from search_spaces import blocks, costs
from search_spaces.mobile import MobileNet
from search_spaces.network import freeze, input_node, layer
from search_spaces.reading import read
from search_spaces.realise import realise


def sequential(*parts, shape=(8, 8, 4)):
    return keras.Sequential([keras.Input(shape), *parts])


def every_operation():
    x = blocks.rescale(input_node((16, 12, 2)), (0.5, 2.0), (-1.0, 0.0))
    x = blocks.separable(blocks.conv(x, 8, (3, 2), stride=(2, 1)), 8)
    y = blocks.inverted_residual(x, 8, expansion=2, squeeze=0.25, activation="hard_silu")
    x = blocks.add(blocks.max_pool(y, 2), blocks.average_pool(x, (2, 2), 2))
    x = blocks.multiply(x, blocks.activation(x, "sigmoid"))
    x = blocks.conv(blocks.pad(x, ((1, 2), (0, 1))), 4, padding="valid", norm=False)
    x = blocks.dense(blocks.dropout(blocks.flatten(x), 0.5), 12, "relu")
    x = blocks.average_pool(blocks.reshape(x, (2, 3, 2)), 2, padding="valid")
    x = layer("batch_norm", x, scale=False)
    return freeze(blocks.dense(blocks.global_average_pool(x), 3, "softmax"))


@pytest.mark.parametrize(
    "network", [every_operation(), *(describe() for describe in mlperf_tiny.NETWORKS.values())]
)
def test_what_was_realised_is_read(network):
    model = realise(network)
    assert read(model) == network
    assert costs.params(read(model)) == model.count_params()


def test_random_members_are_read():
    rng = np.random.default_rng(0)
    space = MobileNet((28, 28, 1), 10, rescaling=(1 / 255, 0.0))
    for _ in range(5):
        values = {
            hp.name: hp.values[rng.integers(len(hp.values))]
            for hp in space.hyperparameters().space
        }
        network = space.network(values)
        assert read(realise(network)) == network


def test_a_loaded_model_is_read(tmp_path):
    network = every_operation()
    realise(network).save(tmp_path / "model.keras")
    assert read(keras.models.load_model(tmp_path / "model.keras")) == network


def test_activations_inside_layers_become_layers():
    model = sequential(
        layers.Conv2D(3, 3, activation="swish", padding="same"),
        layers.Dense(2),
        layers.ReLU(6),
    )
    x = layer("conv", input_node((8, 8, 4)), filters=3, kernel=3, stride=1, bias=True)
    x = layer("dense", blocks.activation(x, "silu"), units=2, bias=True)
    assert read(model) == freeze(blocks.activation(x, "relu6"))


def test_sums_and_products_may_be_written_as_such():
    source = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same")(source)
    model = keras.Model(source, layers.ReLU(6)(source + x + 3.0) * 0.5)
    y = layer("conv", input_node((8, 8, 4)), filters=4, kernel=3, stride=1, bias=True)
    total = blocks.add(input_of(y), y)
    clipped = blocks.activation(blocks.rescale(total, 1.0, 3.0), "relu6")
    assert read(model) == freeze(blocks.rescale(clipped, 0.5))


def input_of(node):
    from search_spaces.network import Node

    return Node(node._layers, 0)


def test_nested_models_are_read_as_one():
    body = sequential(layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization())
    source = keras.Input((8, 8, 4))
    nested = keras.Model(source, layers.Add()([source, body(source)]))
    flat = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(source))
    assert read(nested) == read(keras.Model(source, layers.Add()([source, flat])))


def test_what_matters_in_training_only_is_left_out():
    augmented = sequential(
        layers.RandomFlip(), layers.GaussianNoise(0.1), layers.Conv2D(3, 3), layers.Flatten()
    )
    assert read(augmented) == read(sequential(layers.Conv2D(3, 3), layers.Flatten()))


def test_separable_convolutions_are_two():
    model = sequential(layers.SeparableConv2D(6, 3, 2, padding="same", activation="relu"))
    x = layer("depthwise", input_node((8, 8, 4)), kernel=3, stride=2, bias=False)
    x = layer("conv", x, filters=6, kernel=1, stride=1, bias=True)
    assert read(model) == freeze(blocks.activation(x, "relu"))
    assert costs.params(read(model)) == model.count_params()


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_published_models_are_read(name):
    build = getattr(keras.applications, name)
    model = build(input_shape=(32, 32, 3), weights=None, classes=5)
    network = read(model)
    assert costs.params(network) == model.count_params()
    assert network.output_shape == (5,)


class Own(layers.Dense):
    pass


class Subclassed(keras.Model):
    def call(self, x):
        return x


def twice():
    source, dense = keras.Input((4,)), layers.Dense(4, name="shared")
    return keras.Model(source, dense(dense(source)))


def several():
    sources = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(sources, layers.Add()(sources))


REFUSED = {
    r"Conv1D \(layer 'a'\); LSTM \(layer 'b'\)": lambda: sequential(
        layers.Conv1D(3, 3, name="a"), layers.LSTM(4, name="b"), shape=(8, 4)
    ),
    r"Conv2D \(layer 'c'\) with dilation_rate=\(2, 2\)": lambda: sequential(
        layers.Conv2D(4, 3, dilation_rate=2, name="c")
    ),
    r"ReLU \(layer 'r'\) with max_value=5": lambda: sequential(layers.ReLU(5, name="r")),
    r"Own \(layer 'own'\)": lambda: sequential(Own(4, name="own")),
    "a class of its own, Subclassed": Subclassed,
    r"Dense \(layer 'shared'\) used in several places": twice,
    "2 inputs and 1 outputs": several,
    "an input that is not known yet": lambda: keras.Sequential([layers.Dense(3)]),
    r"input shape \(None, None, 8, 4\)": lambda: sequential(
        layers.Conv2D(4, 3), shape=(None, 8, 4)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_a_description_does_not_know_is_named(message):
    with pytest.raises(ValueError, match=message):
        read(REFUSED[message]())


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"Only Keras models can be described\. Received: str"):
        read("model.keras")
