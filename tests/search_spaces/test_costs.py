import math

import keras
import numpy as np
import pytest

from search_spaces import blocks, costs
from search_spaces.mobile import MobileNet
from search_spaces.network import freeze, input_node
from search_spaces.realise import realise


def keras_macs(model):
    """Counted from the Keras layers' own weights and outputs, independently of ours."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Conv2D):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total


def random_networks(count, shapes=((8, 8, 1), (28, 28, 1), (33, 20, 3))):
    rng = np.random.default_rng(0)
    for number in range(count):
        space = MobileNet(shapes[number % len(shapes)], 10)
        yield space.network(random_values(space, rng))


def random_values(space, rng):
    return {
        hp.name: hp.values[rng.integers(len(hp.values))]
        for hp in space.hyperparameters().space
    }


@pytest.mark.parametrize("count", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_params_and_macs_are_those_of_the_keras_model(count):
    for network in random_networks(count):
        model = realise(network)
        assert costs.params(network) == model.count_params()
        assert costs.macs(network) == keras_macs(model)
        keras.backend.clear_session()


def test_a_textbook_convolution_costs_what_the_textbook_says():
    network = freeze(blocks.conv(input_node((32, 32, 3)), 16, 5, stride=2, norm=False))
    assert costs.params(network) == 5 * 5 * 3 * 16 + 16
    assert costs.macs(network) == 16 * 16 * 5 * 5 * 3 * 16


def test_normalisation_and_clipping_fold_into_the_convolution():
    x = blocks.conv(input_node((8, 8, 4)), 8, 1)
    x = blocks.depthwise(x, activation="linear")
    made = costs.kernels(freeze(blocks.dropout(x, 0.1)))
    assert [(k.op, k.function, k.inputs) for k in made] == [
        ("conv", "relu6", (-1,)),
        ("depthwise", None, (0,)),
    ]


def test_what_is_read_twice_is_not_folded():
    x = blocks.conv(input_node((8, 8, 4)), 4, activation="linear")
    made = costs.kernels(freeze(blocks.add(x, blocks.activation(x, "relu6"))))
    assert [k.op for k in made] == ["conv", "activation", "add"]


def test_hard_silu_is_an_operator_of_its_own():
    made = costs.kernels(freeze(blocks.conv(input_node((8, 8, 4)), 4, activation="hard_silu")))
    assert [k.op for k in made] == ["conv", "activation"]


def test_peak_memory_is_input_and_output_of_the_widest_step():
    x = input_node((8, 8, 4))
    network = freeze(blocks.conv(blocks.conv(x, 16), 2))
    assert costs.peak_activation_bytes(network) == 8 * 8 * (4 + 16)


def test_peak_memory_keeps_what_a_residual_still_needs():
    x = blocks.conv(input_node((8, 8, 4)), 4)
    network = freeze(blocks.add(x, blocks.conv(blocks.conv(x, 16), 4)))
    assert costs.peak_activation_bytes(network) == 8 * 8 * (4 + 16 + 4)


def test_wider_networks_take_more_flash():
    sizes = [
        costs.flash_bytes(freeze(blocks.conv(input_node((8, 8, 1)), filters)))
        for filters in (8, 16, 64)
    ]
    assert sizes == sorted(set(sizes))


def test_costs_are_named_as_limits_are():
    network = next(random_networks(1))
    assert costs.costs(network) == {
        "params": costs.params(network),
        "macs": costs.macs(network),
        "flash": costs.flash_bytes(network),
    }
