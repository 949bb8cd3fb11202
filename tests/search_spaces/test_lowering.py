"""Programs of descriptions are compared with those of the files that the converter writes."""

import keras
import numpy as np
import pytest

import tflite_export
from benchmarks.device_costs import OTHERS, exported, unscaled
from edge_devices import flatbuffer
from search_spaces import blocks, costs
from search_spaces.lowering import lower
from search_spaces.members import draws
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


def rectified(x):
    return blocks.activation(x, "relu")


def series(length=8):
    return input_node((length, 6))


def residual(x):
    y = blocks.dense(x, 6, "relu")
    return blocks.dense(blocks.add(y, blocks.dense(y, 6)), 3)


def along_time(x):
    length, channels = x.shape
    y = blocks.conv(blocks.reshape(x, (length, 1, channels)), channels, (3, 1))
    return blocks.add(x, blocks.reshape(y, (length, channels)))


def attended(x, heads, causal=False):
    x = blocks.add(x, blocks.attention(blocks.layer_norm(x), heads, causal=causal))
    return blocks.add(x, blocks.dense(blocks.dense(x, 12, "relu6"), x.channels))


def product_that_waits():
    x = blocks.conv(image(), 4)
    y = blocks.conv(
        blocks.global_average_pool(x, True), 4, 1, activation="sigmoid", norm=False
    )
    return blocks.add(blocks.max_pool(x, 3, 1), blocks.multiply(x, y), blocks.conv(x, 4, 1))


def dilated_twice():
    x = blocks.conv(image(), 4)
    return blocks.add(blocks.depthwise(x, dilation=2), blocks.conv(x, 4, dilation=(2, 1)))


def read_by_three():
    # As cells do: each operation clips its input itself, and skips see it unclipped.
    x = sums()
    first = blocks.conv(rectified(x), 4, activation="linear")
    second = blocks.depthwise(rectified(x), activation="linear")
    return blocks.add(first, second, x)


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
    "a convolution with gaps": lambda: blocks.conv(input_node((9, 7, 4)), 4, dilation=2),
    "two with gaps read the same": dilated_twice,
    "what is clipped twice is clipped once": read_by_three,
    "a clip of a clip": lambda: rectified(rectified(blocks.max_pool(image()))),
    "a product that waits": product_that_waits,
    "one pixel of four": lambda: blocks.conv(blocks.subsample(image()), 3, 1),
    "a shifted image": lambda: blocks.crop(
        blocks.pad(image(), ((0, 1), (0, 1))), ((1, 0), (1, 0))
    ),
    "fewer channels": lambda: blocks.narrow(image(), 3),
    "nothing": lambda: (lambda x: blocks.add(blocks.zero(x), blocks.conv(x, 4)))(image()),
    "nothing in a convolution": lambda: blocks.zero(blocks.conv(image(), 4)),
    "larger": lambda: blocks.upsample(image(), 2),
    "larger and smooth": lambda: blocks.resize(image(), (13, 9)),
    "normalisation behind a sum": lambda: blocks.global_average_pool(
        rectified(normalised(sums()))
    ),
    "a vector that is added": lambda: residual(input_node((7,))),
    "an average that is added": lambda: residual(blocks.global_average_pool(image())),
    "a dense layer behind another": lambda: blocks.dense(
        blocks.dense(blocks.dense(input_node((7,)), 6), 5), 3
    ),
    "dense layers of a sequence": lambda: blocks.dense(
        blocks.dense(series(), 5, "relu"), 3, "softmax"
    ),
    "reshapes behind a sum": lambda: along_time(along_time(series())),
    "layer normalisation": lambda: blocks.dense(
        blocks.layer_norm(blocks.dense(series(), 4)), 3
    ),
    "layer normalisation of images": lambda: blocks.layer_norm(image()),
    "attention": lambda: attended(series(), heads=2),
    "attention of one head": lambda: attended(series(), heads=1),
    "causal attention": lambda: attended(attended(series(), 2, causal=True), 3, causal=True),
    "positions": lambda: blocks.dense(blocks.position_embedding(series()), 3),
    "positions with a projection": lambda: blocks.position_embedding(series(), 4),
    "waves": lambda: blocks.dense(blocks.sinusoid(blocks.dense(series(), 4)), 3),
    "tokens": lambda: blocks.dense(
        blocks.position_embedding(blocks.embedding(input_node((8,), "int32"), 10, 6)), 3
    ),
    "units with gates": lambda: blocks.recurrent(series(), 5, sequences=False),
    "units with a memory": lambda: blocks.recurrent(series(12), 5, "lstm", sequences=False),
    "units of both directions": lambda: blocks.dense(
        blocks.recurrent(series(3), 4, bidirectional=True, sequences=False), 3
    ),
    "rectangles": lambda: blocks.depthwise(
        blocks.conv(input_node((9, 7, 2)), 4, (4, 3), (2, 1)), (2, 3), padding="valid"
    ),
}
FAST = (
    *list(CASES)[:3],
    *("two with gaps read the same", "what is clipped twice is clipped once", "attention"),
)
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in FAST]


def file_of(network, **options):
    return flatbuffer.read(exported(network, seed=0, **options))


@pytest.mark.parametrize("case", [*FAST, *SLOW])
def test_operators_are_those_of_the_file(case):
    network = freeze(CASES[case]())
    assert lower(network) == file_of(network)


def joined(poolings):
    x = blocks.conv(image(), 4)
    y = blocks.conv(x, 4, activation="linear")
    for _ in range(poolings):
        y = blocks.average_pool(y, 3, 1)
    return blocks.conv(blocks.concatenate(x, y), 4, 1)


@pytest.mark.parametrize("poolings", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_what_is_joined_may_be_brought_to_one_scale(poolings):
    # `x` is read elsewhere too, and a pool cannot change the scale of what it reads.
    network = freeze(joined(poolings))
    program, real = lower(network), file_of(network)
    assert unscaled(program) == unscaled(real)
    quantized = [[o.op for o in p.operators].count("QUANTIZE") for p in (program, real)]
    assert quantized[0] == 1 + poolings
    assert quantized[1] <= quantized[0]


def test_a_recurrent_layer_shares_weights_among_its_steps():
    program = lower(freeze(blocks.recurrent(series(5), 4, "lstm", sequences=False)))
    dense = [o.weights for o in program.operators if o.op == "FULLY_CONNECTED"]
    assert sorted(dense) == [(16, 4)] * 4 + [(16, 6)] * 5  # the first state is zero
    weights = [c.shape for c in program.constants if c.dtype == "int8" and c.scales > 1]
    assert sorted(weights) == [(16, 4), (16, 6)]


def test_macs_of_attention_are_those_of_its_layers():
    network = freeze(attended(series(), 2))
    program = lower(network)
    assert sum(map(program.macs, program.operators)) == costs.macs(network)


def cells(seed):
    """A random network of cells: operations that clip their input, sums and concatenations."""
    rng = np.random.default_rng(seed)
    x = before = blocks.conv(input_node((8, 6, 3)), 4, activation="linear")
    for _ in range(2):
        states = [before, x]
        for _ in range(4):
            terms = [operation(rng, states) for _ in range(rng.integers(1, 4))]
            states.append(blocks.add(*terms) if len(terms) > 1 else terms[0])
        before, x = x, blocks.conv(blocks.concatenate(*states[-3:]), 4, 1, activation="linear")
    x = blocks.global_average_pool(rectified(normalised(x)))
    return freeze(blocks.dense(blocks.dropout(x, 0.1), 3))


def operation(rng, states):
    x = states[rng.integers(len(states))]
    operations = (
        lambda: blocks.conv(rectified(x), 4, activation="linear"),
        lambda: blocks.conv(
            blocks.depthwise(rectified(x), norm=False, activation="linear"), 4, 1
        ),
        lambda: blocks.depthwise(rectified(x), dilation=2, activation="linear"),
        lambda: blocks.conv(rectified(normalised(x)), 4, 1, activation="linear"),
        lambda: blocks.max_pool(x, 3, 1),
        lambda: blocks.average_pool(x, 3, 1),
        lambda: blocks.resize(blocks.subsample(x), (8, 6)),
        lambda: blocks.zero(x),
        lambda: x,
    )
    return operations[rng.integers(len(operations))]()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in range(1, 20))]
)
def test_cells_have_the_operators_of_their_file_in_its_order(seed):
    network = cells(seed)
    assert unscaled(lower(network)) == unscaled(file_of(network))


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_random_members_of_every_space_have_the_operators_of_their_file(name):
    for member in draws(OTHERS[name](), 3, seed=1):
        assert unscaled(lower(member.network)) == unscaled(file_of(member.network))


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
