"""Programs of descriptions are compared with those of the files that the converter writes."""

import keras
import numpy as np
import pytest

import tflite_export
from benchmarks.device_costs import exported
from edge_devices import flatbuffer
from search_spaces import blocks
from search_spaces.lowering import lower
from search_spaces.mobile import MobileNet
from search_spaces.network import freeze, input_node, layer, with_weight_bits
from search_spaces.realise import realise


def image():
    return input_node((8, 8, 4))


def sums():
    x = image()
    return blocks.add(x, blocks.conv(x, 4), blocks.conv(x, 4, 1))


def gate(function):
    x = blocks.conv(image(), 4)
    y = blocks.conv(blocks.global_average_pool(x, True), 4, 1, activation=function, norm=False)
    return blocks.multiply(x, y)


def read_twice():
    x = blocks.conv(image(), 4, activation="linear")
    return blocks.add(x, blocks.activation(layer("batch_norm", x), "relu"))


def scaled_for_two():
    x = blocks.rescale(image(), 0.5)
    return blocks.add(blocks.conv(x, 4), x)


def shortcut(first):
    # The order of branches follows the names of layers, `conv_10` before `conv_4`.
    x = blocks.conv(image(), 4)
    if first:
        y = blocks.conv(x, 8, 1, stride=2)
        return blocks.add(blocks.conv(blocks.conv(x, 6, stride=2), 8), y)
    z = blocks.conv(blocks.conv(x, 6, stride=2), 8)
    return blocks.add(z, blocks.conv(x, 8, 1, stride=2))


def normalised(x):
    return layer("batch_norm", x)


def padded(amounts, stride):
    return blocks.conv(blocks.pad(image(), amounts), 4, stride=stride, padding="valid")


CASES = {
    "a scale goes into the convolution": lambda: blocks.conv(blocks.rescale(image(), 0.5), 4),
    "a scale a channel does not": lambda: blocks.conv(
        blocks.rescale(image(), (0.1, 0.2, 0.3, 0.4)), 4
    ),
    "nor does an offset": lambda: blocks.conv(blocks.rescale(image(), 0.5, 1.0), 4),
    "dense layers take both": lambda: blocks.dense(
        blocks.rescale(input_node((8,)), 0.5, 1.0), 3
    ),
    "a scale stays for others": scaled_for_two,
    "a scale is clipped": lambda: blocks.activation(blocks.rescale(image(), 0.5), "relu"),
    "convolutions get a bias": lambda: layer(
        "conv", image(), filters=4, kernel=3, stride=1, bias=False
    ),
    "dense layers do not": lambda: layer("dense", input_node((8,)), units=3, bias=False),
    "dropout vanishes between what folds": lambda: blocks.activation(
        normalised(
            blocks.dropout(
                layer("conv", image(), filters=4, kernel=3, stride=1, bias=False), 0.5
            )
        ),
        "relu",
    ),
    "what is read twice does not fold": read_twice,
    "normalisation alone is two operators": lambda: blocks.activation(
        normalised(blocks.max_pool(image())), "relu"
    ),
    "normalisation goes into a dense layer behind": lambda: blocks.dense(
        normalised(input_node((8,))), 3
    ),
    "pools clip": lambda: blocks.activation(blocks.average_pool(image()), "relu6"),
    "averages do not": lambda: blocks.activation(blocks.global_average_pool(image()), "relu"),
    "silu is two operators": lambda: blocks.conv(image(), 4, activation="silu"),
    "hard sigmoid folds a half": lambda: blocks.conv(image(), 4, activation="hard_sigmoid"),
    "hard sigmoid alone": lambda: blocks.activation(blocks.max_pool(image()), "hard_sigmoid"),
    "hard silu": lambda: blocks.conv(image(), 4, activation="hard_silu"),
    "a gate": lambda: gate("hard_sigmoid"),
    "another gate": lambda: gate("sigmoid"),
    "three terms": sums,
    "a short branch first": lambda: shortcut(first=True),
    "a short branch last": lambda: shortcut(first=False),
    "padding that is same": lambda: padded(((0, 1), (0, 1)), 2),
    "padding that is not": lambda: padded(((1, 1), (1, 1)), 2),
    "an image of one pixel is flat": lambda: blocks.dense(
        blocks.flatten(blocks.average_pool(image(), 8, padding="valid")), 3, "softmax"
    ),
    "a larger one is reshaped": lambda: blocks.dense(blocks.flatten(image()), 3),
    "an average that is reshaped": lambda: blocks.conv(
        blocks.reshape(blocks.global_average_pool(image()), (1, 1, 4)), 3, 1
    ),
    "rectangles": lambda: blocks.depthwise(
        blocks.conv(input_node((9, 7, 2)), 4, (4, 3), (2, 1)), (2, 3), padding="valid"
    ),
}
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list(CASES)[6:]]


def file_of(network, **options):
    return flatbuffer.read(exported(network, seed=0, **options))


@pytest.mark.parametrize("case", [*list(CASES)[:6], *SLOW])
def test_operators_are_those_of_the_file(case):
    network = freeze(CASES[case]())
    assert lower(network) == file_of(network)


def random_members(count):
    rng = np.random.default_rng(0)
    shapes = ((8, 8, 1), (28, 28, 1), (33, 20, 3))
    for number in range(count):
        space = MobileNet(shapes[number % 3], 10, rescaling=(0.3, -0.5 * (number % 2)))
        decisions = space.hyperparameters().space
        yield space.network(
            {hp.name: hp.values[rng.integers(len(hp.values))] for hp in decisions}
        )


@pytest.mark.parametrize("count", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_random_members_have_the_operators_of_their_file(count):
    for network in random_members(count):
        assert lower(network) == file_of(network)


def test_narrow_weights_are_narrow_in_the_program():
    (network,) = random_members(1)
    narrow = with_weight_bits(network, 4)
    types = {o.op: o.weight_dtype for o in lower(narrow).operators if o.bias}
    assert types == {"CONV_2D": "int4", "DEPTHWISE_CONV_2D": "int8", "FULLY_CONNECTED": "int4"}
    model = realise(narrow, seed=0)
    samples = np.random.default_rng(0).random((8, *network.input_shape), "float32")
    content = tflite_export.convert(model, "int4", samples)
    keras.backend.clear_session()
    assert [o.weight_dtype for o in lower(narrow).operators] == [
        o.weight_dtype for o in flatbuffer.read(content).operators
    ]


def test_lowering_keeps_no_operator_that_leads_nowhere():
    program = lower(freeze(CASES["a scale goes into the convolution"]()))
    read = {index for operator in program.operators for index in operator.inputs}
    written = {index for operator in program.operators for index in operator.outputs}
    assert len(program.tensors) == len(read | written)
    assert program.outputs[0] in written
