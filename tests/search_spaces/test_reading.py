import keras
import numpy as np
import pytest
from keras import layers

from benchmarks import mlperf_tiny
from search_spaces import blocks, costs
from search_spaces.mobile import MobileNet
from search_spaces.network import freeze, input_node, input_nodes, layer
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


def every_operation_of_images():
    x = blocks.conv(input_node((9, 8, 4)), 6, dilation=(1, 2))
    x = blocks.depthwise(x, 3, dilation=2)
    y = blocks.crop(blocks.pad(blocks.subsample(x), ((0, 1), (0, 1))), ((1, 0), (1, 0)))
    y = blocks.narrow(blocks.resize(y, (9, 8), "nearest"), 3)
    small = blocks.average_pool(y, (3, 2))
    x = blocks.concatenate(x, blocks.zero(y), blocks.upsample(small, (3, 2)))
    return freeze(blocks.layer_norm(blocks.narrow(blocks.resize(x, (4, 4)), 8)))


def every_operation_of_sequences():
    x = blocks.position_embedding(input_node((6, 4)), 8)
    x = blocks.add(x, blocks.attention(blocks.layer_norm(x), 2))
    x = blocks.position_embedding(blocks.recurrent(x, 5, "lstm"))
    x = blocks.recurrent(blocks.sinusoid(x), 4, bidirectional=True)
    return freeze(blocks.dense(blocks.global_average_pool(x), 3))


def tokens():
    x = blocks.embedding(input_node((6,), "int32"), 11, 4)
    x = blocks.attention(blocks.position_embedding(x), 2, 6, causal=True)
    return freeze(blocks.recurrent(x, 3, sequences=False))


@pytest.mark.parametrize(
    "network",
    [
        every_operation(),
        every_operation_of_images(),
        every_operation_of_sequences(),
        tokens(),
        *(describe() for describe in mlperf_tiny.NETWORKS.values()),
    ],
)
def test_what_was_realised_is_read(network):
    model = realise(network)
    assert read(model) == network
    assert read(model).input_dtype == network.input_dtype
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
    source = keras.Input((4,))
    return keras.Model(source, [layers.Dense(3)(source), layers.Dense(2)(source)])


def two_inputs(made, called):
    """A model of two inputs inside another: how each of them takes them."""
    shapes = {"b": (3,), "a": (4,)}
    inner = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    y = layers.Concatenate()([layers.Dense(2)(inner["b"]), inner["a"]])
    part = keras.Model(made(inner), y, name="part")
    outer = {
        f"{name}_outside": keras.Input(s, name=f"{name}_outside") for name, s in shapes.items()
    }
    given = {name: outer[f"{name}_outside"] for name in shapes}
    return keras.Model(outer, layers.Dense(3)(part(called(given))))


def listed(tensors):
    return [tensors["b"], tensors["a"]]


@pytest.mark.parametrize("form", [dict, listed])
def test_models_of_several_inputs_inside_of_others_are_read(form):
    x = input_nodes({"a_outside": (4,), "b_outside": (3,)})
    joined = blocks.concatenate(blocks.dense(x["b_outside"], 2), x["a_outside"])
    assert read(two_inputs(form, form)) == freeze(blocks.dense(joined, 3))


def test_several_inputs_are_described_by_name_in_any_order():
    b, a = keras.Input((3,), name="b"), keras.Input((5,), name="a", dtype="int32")
    y = layers.Concatenate()([layers.Flatten()(layers.Embedding(9, 2)(a)), b])
    network = read(keras.Model([b, a], y))
    assert network.inputs == (("a", (5,), "int32"), ("b", (3,), "float32"))
    assert read(realise(network)) == network


def attention_to(other):
    source = keras.Input((8, 4))
    attend = layers.MultiHeadAttention(2, 2, name="m")
    return keras.Model(source, attend(source, other(source)))


def bidirectional_with_state():
    source = keras.Input((8, 4))
    inner = layers.LSTM(4, return_state=True)
    return keras.Model(source, layers.Bidirectional(inner, name="d")(source)[0])


def test_attention_to_itself_is_read_as_keras_users_write_it():
    source = keras.Input((8, 4))
    attend = layers.MultiHeadAttention(2, 3, dropout=0.1)
    model = keras.Model(source, attend(source, source, use_causal_mask=True))
    described = freeze(blocks.attention(input_node((8, 4)), 2, 6, causal=True))
    assert read(model) == described
    assert costs.params(described) == model.count_params()


REFUSED = {
    r"Conv1D \(layer 'a'\); SimpleRNN \(layer 'b'\)": lambda: sequential(
        layers.Conv1D(3, 3, name="a"), layers.SimpleRNN(4, name="b"), shape=(8, 4)
    ),
    r"Conv2D \(layer 'c'\) with groups=2": lambda: sequential(
        layers.Conv2D(4, 3, groups=2, name="c")
    ),
    r"GRU \(layer 'g'\) with reset_after=False": lambda: sequential(
        layers.GRU(4, reset_after=False, name="g"), shape=(8, 4)
    ),
    r"Bidirectional \(layer 'd'\) with merge_mode='sum'": lambda: sequential(
        layers.Bidirectional(layers.LSTM(4), merge_mode="sum", name="d"), shape=(8, 4)
    ),
    r"Bidirectional \(layer 'd'\) with return_state=True": lambda: bidirectional_with_state(),
    r"MultiHeadAttention \(layer 'm'\) of several tensors": lambda: attention_to(
        lambda x: layers.Dense(4)(x)
    ),
    r"EinsumDense \(layer 'e'\) with equation='abc,cd->abd'": lambda: sequential(
        layers.EinsumDense("abc,cd->abd", (8, 5), name="e"), shape=(8, 4)
    ),
    r"Rescaling \(layer 'o'\) with offset=": lambda: sequential(
        layers.Rescaling(1.0, [[1.0, 2.0]] * 8, name="o"), shape=(8, 2)
    ),
    r"Cropping2D \(layer 'x'\) with settings that do not go together": lambda: sequential(
        layers.Cropping2D(1, "channels_first", name="x")
    ),
    r"ReLU \(layer 'r'\) with max_value=5": lambda: sequential(layers.ReLU(5, name="r")),
    r"Own \(layer 'own'\)": lambda: sequential(Own(4, name="own")),
    "a class of its own, Subclassed": Subclassed,
    r"Dense \(layer 'shared'\) used in several places": twice,
    "2 outputs": several,
    r"Functional \(layer 'part'\) called with a dict": lambda: two_inputs(listed, dict),
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
