import pytest

import search_spaces
from search_spaces.nasbench201 import NASBench201Cells, from_string
from search_spaces.network import freeze, input_node, layer
from search_spaces.paths import paths

WITHOUT_3 = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
RELU = "activation(function=relu)"
CONV = "conv(kernel=3)"


def relu(x):
    return layer("activation", x, function="relu")


def conv(x, filters=4):
    return layer("conv", x, filters=filters, kernel=3, stride=1, bias=False)


def short(found):
    return {path.replace("bias=False,kernel=3,stride=1", "kernel=3") for path in found}


def published(text, **settings):
    return NASBench201Cells((16, 16, 3), 10, **settings).paths(from_string(text))


def test_a_chain_is_cut_at_every_layer():
    x = relu(conv(input_node((8, 8, 3))))
    assert short(paths(freeze(x))) == {CONV, RELU}


def test_a_part_with_branches_has_a_path_for_each():
    x = relu(input_node((8, 8, 4)))
    x = layer("add", x, conv(x), conv(relu(conv(x))))
    assert short(paths(freeze(conv(x)))) == {
        RELU,
        "add",
        f"{CONV}>add",
        f"{CONV}>{RELU}>{CONV}>add",
        CONV,
    }


def test_width_makes_no_other_path():
    x = input_node((8, 8, 3))
    assert paths(freeze(conv(x, 4))) == paths(freeze(conv(x, 8)))


def test_copies_of_a_cell_have_its_paths():
    cell = "|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    assert published(cell, cells=1) == published(cell, cells=4)


def test_cells_that_are_one_network_have_the_same_paths():
    other = WITHOUT_3.replace("nor_conv_3x3", "avg_pool_3x3")
    assert from_string(WITHOUT_3) != from_string(other)
    assert published(WITHOUT_3) == published(other)


def test_other_cells_have_others():
    other = WITHOUT_3.replace("skip_connect", "nor_conv_1x1")
    assert published(WITHOUT_3) != published(other)


def test_of_very_many_paths_the_shortest_are_kept():
    x = start = input_node((8, 8, 4))
    read = [start]
    for _ in range(9):
        x = relu(layer("add", *read, conv(x)))
        read.append(x)
    found = paths(freeze(layer("add", *read, conv(x))))
    assert len(found) == 64
    assert "add" in found


SPACES = [getattr(search_spaces, name) for name in search_spaces.SPACES.values()]


@pytest.mark.parametrize("space", [s for s in SPACES if "images" in s.layouts])
def test_every_space_of_images_names_them(space):
    classes = issubclass(search_spaces.Classification, space.tasks)
    made = space((32, 32, 3), 10) if classes else space((32, 32, 3), task=space.tasks[0](3))
    assert made.paths({**made.default(), "learning_rate": 0.1})
