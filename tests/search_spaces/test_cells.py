import keras
import numpy as np
import pytest

from search_spaces import cells
from search_spaces.network import freeze, input_node
from search_spaces.realise import realise
from search_spaces.testing import unread

BLOCKS = {
    "conv_norm": (cells.conv_norm, 5, 1, 2),
    "separable_conv": (cells.separable_conv, 5, 3, 1),
    "separable_conv that halves": (cells.separable_conv, 5, 5, 2),
    "dilated_conv": (cells.dilated_conv, 5, 3, 1),
    "dilated_conv that halves": (cells.dilated_conv, 5, 5, 2),
    "separated_conv": (cells.separated_conv, 5, 7, 2),
    "factorized_reduction": (cells.factorized_reduction, 5),
    "factorized_reduction of even filters": (cells.factorized_reduction, 4),
}


def describe(block, *arguments, shape=(9, 6, 3)):
    return freeze(block(input_node(shape), *arguments))


def weighted(block, *arguments, shape):
    """A model of a block with known kernels, and what normalises left out."""
    model = realise(describe(block, *arguments, shape=shape), seed=0)
    kernels = [
        layer.get_weights()[0]
        for layer in model.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D))
    ]

    def run(x):
        # Fresh moving statistics: normalisation only divides by sqrt(1 + epsilon).
        return np.asarray(model(x[None]))[0] * np.sqrt(1 + 1e-3)

    return run, kernels


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_remembered_is_what_is_described(name):
    block, *arguments = BLOCKS[name]
    expected = describe(block.__wrapped__, *arguments)
    for _ in range(2):
        assert describe(block, *arguments).layers == expected.layers


def test_a_remembered_block_takes_arguments_by_name():
    x = input_node((8, 8, 3))
    assert cells.conv_norm(x, 4, stride=2).shape == (4, 4, 4)
    assert cells.conv_norm(x, 4, stride=1).shape == (8, 8, 4)


def test_a_remembered_block_goes_on_from_where_it_is_put():
    x = input_node((8, 8, 3))
    y = cells.conv_norm(x, 4)
    aside = cells.conv_norm(x, 6)
    z = cells.separable_conv(y, 5, 3)
    assert (z.shape, aside.shape) == ((8, 8, 5), (8, 8, 6))
    # The input, three layers of `y`, twice four of `z`, and nothing of what was put aside.
    assert len(freeze(z)) == 1 + 3 + 8


@pytest.mark.parametrize("shape", [(4, 6, 2), (5, 6, 2), (5, 7, 2), (2, 3, 2)])
def test_a_factorized_reduction_loses_no_row(shape):
    run, (even, odd) = weighted(cells.factorized_reduction, 3, shape=shape)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    seen = np.maximum(x, 0)
    zeros = np.pad(seen, ((0, 1), (0, 1), (0, 0)))
    height, width = -(-shape[0] // 2), -(-shape[1] // 2)
    expected = np.concatenate(
        [seen[::2, ::2] @ even[0, 0], zeros[1::2, 1::2][:height, :width] @ odd[0, 0]], axis=-1
    )
    assert even.shape[-1] + odd.shape[-1] == 3
    np.testing.assert_allclose(run(x), expected, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(6, 6, 1), (7, 5, 1)])
def test_a_dilated_convolution_reads_every_other_pixel(shape, stride):
    run, (depthwise, pointwise) = weighted(cells.dilated_conv, 1, 3, stride, shape=shape)
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    padded = np.pad(np.maximum(x[..., 0], 0), 2)
    expected = np.array(
        [
            [
                (
                    padded[row : row + 5 : 2, column : column + 5 : 2] * depthwise[..., 0, 0]
                ).sum()
                for column in range(0, shape[1], stride)
            ]
            for row in range(0, shape[0], stride)
        ]
    )
    np.testing.assert_allclose(run(x)[..., 0], expected * pointwise.item(), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(2, 2, 3), (4, 4, 3), (3, 4, 3), (1, 5, 3)])
@pytest.mark.parametrize("name", [name for name in cells.OPERATIONS if "conv" in name])
def test_no_kernel_meets_padding_only(name, shape, stride):
    network = freeze(cells.operation(name, 4, stride, input_node(shape)))
    assert not unread(network)


def test_a_kernel_with_gaps_is_fitted_to_the_pixels_it_can_read():
    layers = describe(cells.dilated_conv, 8, 5, shape=(4, 9, 2)).layers
    assert dict(layers[2].settings)["kernel"] == (4, 5)
    single = describe(cells.dilated_conv, 8, 5, shape=(1, 1, 2)).layers[2]
    assert dict(single.settings) == {"bias": False, "kernel": 1, "stride": 1}


def test_a_separable_convolution_has_the_weights_of_two():
    layers = describe(cells.separable_conv, 8, 5, 2, shape=(8, 8, 4)).layers
    assert [record.op for record in layers[1:]] == [
        *["activation", "depthwise", "conv", "batch_norm"],
        *["activation", "depthwise", "conv", "batch_norm"],
    ]
    assert layers[2].shape == (4, 4, 4)
    assert layers[-1].shape == (4, 4, 8)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [4, 6])
@pytest.mark.parametrize("name", cells.OPERATIONS)
def test_operations_give_the_channels_and_the_size_they_should(name, channels, stride):
    x = input_node((9, 6, channels))
    y = cells.operation(name, 4, stride, x)
    assert y.shape == ((9, 6, 4) if stride == 1 else (5, 3, 4))
    if name == "skip_connect" and stride == 1 and channels == 4:
        assert y is x


def test_the_mean_of_a_pool_leaves_padding_out():
    network = describe(lambda x: cells.operation("avg_pool_3x3", 3, 2, x))
    ones = np.ones((1, *network.input_shape), "float32")
    np.testing.assert_allclose(realise(network)(ones), 1)


def test_inputs_of_a_cell_are_brought_to_one_size():
    x = input_node((9, 6, 3))
    assert cells.fit(x, (9, 6, 1), 8).shape == (9, 6, 8)
    assert cells.fit(x, (5, 3, 1), 8).shape == (5, 3, 8)


@pytest.mark.parametrize("given", [(), (4, 4), (1, 8), 1, 2.5, (4, 8.0), "16"])
def test_numbers_to_choose_from_are_different_and_large_enough(given):
    with pytest.raises(ValueError, match=r"`filters` is a whole number from 2 up.*Received: "):
        cells.counts("filters", given, 2)


def test_one_number_is_several_to_choose_from():
    assert cells.counts("filters", 16, 2) == (16,)
    assert cells.counts("filters", [16, 8], 2) == (16, 8)


@pytest.mark.parametrize("names", [(), ("none",), ("skip_connect", "skip_connect")])
def test_operations_are_different_known_ones(names):
    with pytest.raises(ValueError, match=r"different ones of sep_conv_3x3.*Received: "):
        cells.check_operations(names)


def test_the_stem_follows_the_image_unless_it_is_given():
    assert cells.chosen_stem("Space", None, (224, 96, 3)) == "imagenet"
    assert cells.chosen_stem("Space", None, (224, 95, 3)) == "cifar"
    assert cells.chosen_stem("Space", "imagenet", (64, 64, 3)) == "imagenet"
    with pytest.raises(ValueError, match=r"A stem is .*Received: stem='vgg'"):
        cells.chosen_stem("Space", "vgg", (32, 32, 3))
    with pytest.raises(ValueError, match=r"Space needs images .* at least 64x64"):
        cells.chosen_stem("Space", "imagenet", (32, 64, 3))
