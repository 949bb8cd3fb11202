import pytest

from search_spaces import blocks
from search_spaces.decisions import Decisions
from search_spaces.efficientnet import EfficientNet
from search_spaces.mobile import MOBILENET_V2, MOBILENET_V3_SMALL, MobileNet
from search_spaces.network import input_node
from search_spaces.pyramid import check_encoder, deepest_level, grid_shape, pyramid
from search_spaces.space import SearchSpace


def levels_of(space, values=None):
    return pyramid(space.body(Decisions(values or {}), input_node(space.input_shape)))


def shapes(levels):
    return {level: node.shape for level, node in levels.items()}


def test_each_level_of_a_mobile_network_has_the_narrow_output_of_its_last_block():
    space = MobileNet((224, 224, 3), 10, layout=MOBILENET_V2)
    assert shapes(levels_of(space)) == {
        1: (112, 112, 16),
        2: (56, 56, 24),
        3: (28, 28, 32),
        4: (14, 14, 96),
        5: (7, 7, 1280),
    }


def test_a_pooled_head_is_passed_over():
    space = MobileNet((64, 64, 3), 10, layout=MOBILENET_V3_SMALL)
    assert shapes(levels_of(space))[5] == (2, 2, 576)


def test_levels_that_a_network_skips_are_missing():
    space = MobileNet((64, 64, 3), 10)
    assert list(levels_of(space, {"stem/stride": 4})) == [2, 3, 4, 5]


def test_gates_of_squeeze_and_excite_are_no_features():
    space = EfficientNet((64, 64, 3), 10)
    found = levels_of(space, {"squeeze": 0.25})
    assert min(min(shape[:2]) for shape in shapes(found).values()) == 2


def test_the_image_itself_is_no_feature():
    x = input_node((16, 16, 1))
    x = blocks.resize(blocks.rescale(x, 1 / 255), (8, 8))
    assert list(pyramid(blocks.conv(x, 4, stride=2))) == [2]


def test_a_whole_unit_that_widens_is_a_feature():
    # Of MobileNetV1: a 1x1 convolution follows an activated depthwise one.
    x = blocks.separable(blocks.conv(input_node((8, 8, 1)), 4), 16)
    assert shapes(pyramid(blocks.separable(x, 32, stride=2)))[0] == (8, 8, 16)


def test_of_cells_that_read_two_before_it_is_the_last_one():
    x = blocks.conv(input_node((8, 8, 1)), 4)
    before, x = x, blocks.conv(x, 4)
    before, x = x, blocks.concatenate(blocks.conv(x, 4), blocks.conv(before, 4))
    cell = x.index
    halved = [blocks.conv(node, 4, stride=2) for node in (x, before)]
    assert pyramid(blocks.concatenate(*halved))[0].index == cell


def test_the_deepest_level_is_that_of_the_largest_members():
    assert deepest_level(MobileNet((32, 32, 3), 10)) == 4  # the stem and three stages


def test_cells_that_are_cut_off_count():
    assert grid_shape((33, 20, 3), 4) == (9, 5)


def test_a_space_for_other_images_is_refused():
    with pytest.raises(ValueError, match=r"Received: input_shape=\(8, 9, 1\) and MobileNet"):
        check_encoder("UNet", MobileNet((8, 8, 1), 3), (8, 9, 1))


def test_a_space_without_features_in_rows_and_columns_is_refused():
    class Flat(SearchSpace):
        def body(self, hp, x):
            return blocks.dense(blocks.flatten(x), 4, "relu")

    with pytest.raises(ValueError, match=r"Received: Flat, which has none"):
        check_encoder("UNet", Flat((8, 8, 1), 3), (8, 8, 1))
