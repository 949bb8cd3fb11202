import time

import keras
import pytest

from search_spaces import costs, members
from search_spaces.decisions import Decisions
from search_spaces.nasnet import AMOEBANET_A, NASNET_A, NASNetCells
from search_spaces.testing import SpaceContract


class TestNASNetCells(SpaceContract):
    smallest = (8, 8, 1)
    described = 20
    elsewhere = ("cells", "filters")
    told = ("{cell}/block{i}/input{j}", "{cell}/keep")  # of 5 blocks

    def make(self, input_shape=(8, 8, 1)):
        return NASNetCells(input_shape, 3, blocks=2, cells=1, filters=4)


def small(**arguments):
    return NASNetCells((16, 16, 3), 4, **{"cells": 1, "filters": 4, **arguments})


def cell(kind, edges, keep="none"):
    """Decisions of a cell from `(operation, input)` pairs, two a block."""
    values = {f"{kind}/keep": keep}
    for place, (operation, source) in enumerate(edges):
        block, side = divmod(place, 2)
        values[f"{kind}/block{block}/operation{side + 1}"] = operation
        values[f"{kind}/block{block}/input{side + 1}"] = str(source)
    return values


def joined(network):
    """Channels of what the cells concatenate."""
    layers = network.layers
    return [
        record.shape[-1]
        for record in layers
        # Factorized reductions concatenate convolutions.
        if record.op == "concatenate" and layers[record.inputs[0]].op != "conv"
    ]


@pytest.fixture(scope="module")
def mobile():
    space = NASNetCells((224, 224, 3), 1000, cells=4, filters=44)
    return space.network(NASNET_A)


def test_nasnet_a_mobile_has_its_published_costs(mobile):
    # 5.3 M weights and 564 M multiply-adds in the paper; exactly these in keras.applications.
    assert costs.params(mobile) == 5_326_716
    assert costs.macs(mobile) == pytest.approx(564e6, rel=0.001)


@pytest.mark.slow
def test_nasnet_a_mobile_has_the_weights_of_the_one_in_keras(mobile):
    theirs = keras.applications.NASNetMobile(weights=None)
    assert costs.params(mobile) == theirs.count_params()
    trained = sum(int(keras.ops.size(weight)) for weight in theirs.trainable_weights)
    assert costs.trainable_params(mobile) == trained
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("values", "filters", "published"), [(NASNET_A, 32, 3.3e6), (AMOEBANET_A, 36, 3.2e6)]
)
def test_networks_for_cifar_have_their_published_weights(values, filters, published):
    space = NASNetCells((32, 32, 3), 10, cells=6, filters=filters)
    params = costs.trainable_params(space.network(values))
    assert params == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_size_matches_the_docstring(blocks):
    ways = 1
    for i in range(blocks):
        ways *= (i + 2) ** 2 * 8**2
    assert small(blocks=blocks).size() == (ways * (blocks + 2)) ** 2
    assert blocks != 5 or f"{small().size():.1e}" == "1.5e+31"
    assert "1.5e31 for 5 blocks" in NASNetCells.__doc__


def test_blocks_read_inputs_and_earlier_blocks():
    values = {hp.name: hp.values for hp in small().hyperparameters().space}
    for kind in ("normal", "reduce"):
        assert values[f"{kind}/block0/input1"] == ["0", "1"]
        assert values[f"{kind}/block4/input2"] == ["0", "1", "2", "3", "4", "5"]
        assert values[f"{kind}/keep"] == ["none", "0", "1", "2", "3", "4", "5"]
    assert "| 0, 1, ..., 5 (i + 1 at most) |" in NASNetCells.__doc__
    assert "| none, 0, 1, ..., 5 " in NASNetCells.__doc__


def test_all_members_of_a_small_space_are_counted():
    space = small(blocks=1, operations=("max_pool_3x3", "skip_connect"))
    found = {tuple(sorted(m.values.items())) for m in members.walk(space)}
    assert len(found) == space.size() == (2**2 * 2**2 * 3) ** 2


def test_describing_20_cells_takes_5_milliseconds_at_most():
    space = NASNetCells((32, 32, 3), 10, cells=6, filters=32)
    seconds = []
    for member in members.draws(space, 5):
        for _ in range(5):
            started = time.perf_counter()
            space.describe(Decisions(member.values))
            seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.005


def test_the_output_concatenates_what_no_block_reads():
    space = small(blocks=3)
    wide = cell("normal", [("sep_conv_3x3", 0), ("sep_conv_3x3", 1)] * 3)
    chain = cell(
        "normal",
        [
            *[("sep_conv_3x3", 0), ("sep_conv_3x3", 1)],
            *[("sep_conv_3x3", 2), ("sep_conv_3x3", 2)],
            *[("sep_conv_3x3", 3), ("sep_conv_3x3", 0)],
        ],
    )
    assert joined(space.network(wide))[0] == 3 * 4
    # A single output is not concatenated; all that is left are the two reduction cells.
    assert joined(space.network(chain)) == [3 * 8, 3 * 16]
    assert joined(space.network({**chain, "normal/keep": "2"}))[0] == 2 * 4


def test_inputs_that_no_block_reads_reach_the_output():
    space = small(blocks=1)
    values = cell("reduce", [("sep_conv_3x3", 1)] * 2)
    network = space.network(values)
    # The block, and the other input through a factorized reduction.
    assert 2 * 8 in joined(network)
    assert any(record.op == "crop" for record in network.layers)


def test_what_is_kept_makes_no_difference_where_no_block_reads_it():
    space = small(blocks=2)
    assert space.identity({"normal/keep": "2"}) == space.identity({})
    assert space.identity({"normal/keep": "0"}) != space.identity({})


def test_the_order_of_blocks_and_of_their_sides_makes_no_difference():
    space = small(blocks=3)
    one = [
        *[("sep_conv_3x3", 0), ("max_pool_3x3", 1)],
        *[("sep_conv_5x5", 1), ("skip_connect", 0)],
        *[("avg_pool_3x3", 2), ("dil_conv_3x3", 1)],
    ]
    other = [
        *[("skip_connect", 0), ("sep_conv_5x5", 1)],
        *[("sep_conv_3x3", 0), ("max_pool_3x3", 1)],
        *[("dil_conv_3x3", 1), ("avg_pool_3x3", 3)],
    ]
    for kind in ("normal", "reduce"):
        assert space.identity(cell(kind, one)) == space.identity(cell(kind, other))
        other_source = [*other[:-1], ("avg_pool_3x3", 2)]
        assert space.identity(cell(kind, one)) != space.identity(cell(kind, other_source))


def test_the_stem_for_imagenet_halves_three_times():
    space = NASNetCells((97, 130, 3), 4, cells=1, filters=8)
    network = space.network({})
    assert space.stem == "imagenet"
    sides = [record.shape[:2] for record in network.layers if len(record.shape) == 3]
    assert sides[-1] == (4, 5)  # 97x130 halved five times, rounded up each time


def test_depth_and_width_can_be_decisions():
    space = small(cells=(2, 1), filters=(8, 4), blocks=2)
    assert space.default().items() >= {"cells": 2, "filters": 8}.items()
    assert space.size() == 4 * small(blocks=2).size()


def test_the_stem_for_imagenet_needs_larger_images():
    with pytest.raises(ValueError, match=r"at least 64x64 pixels\. Received: input_shape="):
        NASNetCells((64, 63, 3), 10, stem="imagenet")


@pytest.mark.parametrize(
    "bad", [{"blocks": 0}, {"cells": 0}, {"filters": 3}, {"operations": ("none",)}]
)
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ValueError, match="Received: "):
        small(**bad)
