import numpy as np
import pytest

import search_spaces
from search_spaces import blocks, edits, members, sequences
from search_spaces.graph import Edge, Graph, GraphNetwork, Vertex
from search_spaces.inheritance import inherit, layer_name, load, matched, weights_of
from search_spaces.network import freeze, input_node
from search_spaces.realise import realise

X = np.random.default_rng(0).normal(size=(4, 8, 8, 2)).astype(np.float32)
SERIES = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)

SPACES = {
    "mobilenet": (32, 32, 3),
    "efficientnet": (32, 32, 3),
    "resnet": (32, 32, 3),
    "nasnet": (16, 16, 3),
    "darts": (16, 16, 3),
    "nasbench101": (16, 16, 3),
    "nasbench201": (16, 16, 3),
    "graph": (16, 16, 3),
    "transformer": (16, 16, 3),
    "dscnn": (49, 10, 1),
    "tcn": (64, 3),
    "recurrent": (20, 4),
    "mlp": (10,),
}


def space(name):
    return getattr(search_spaces, search_spaces.SPACES[name])(SPACES[name], 5)


def ops(network, layers):
    return [network.layers[index].op for index in layers]


def described(*changes, shape=(8, 8, 2)):
    """A network of blocks one behind the other."""
    x = input_node(shape)
    for change in changes:
        x = change(x)
    return freeze(x)


def conv(width, kernel=3):
    return lambda x: blocks.conv(x, width, kernel)


def head(x):
    return blocks.dense(blocks.global_average_pool(x), 3)


def settled(network, seed=0):
    """A model with statistics as training would leave them."""
    model, rng = realise(network, seed=seed), np.random.default_rng(seed)
    weights = weights_of(model)
    for name, arrays in weights.items():
        if name.startswith("batch_norm"):
            weights[name] = [rng.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in arrays]
    load(model, weights)
    return model


def child_of(parent, network, child):
    """A child with fresh weights that inherits from a settled parent."""
    model = realise(child, seed=1)
    return model, inherit(model, parent, network=child, parent_network=network)


# --- which layer stands for which ---------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_a_network_is_matched_to_itself_layer_by_layer(name):
    for member in members.draws(space(name), 3):
        weighed = set(matched(member.network, member.network))
        assert matched(member.network, member.network) == {index: index for index in weighed}
        assert {"dense"} <= {member.network.layers[index].op for index in weighed}
        for index, record in enumerate(member.network.layers):
            assert (index in weighed) or record.op not in ("conv", "dense", "batch_norm")


@pytest.mark.parametrize("name", SPACES)
def test_pairs_are_of_one_kind_and_do_not_cross(name):
    first, second = (member.network for member in members.draws(space(name), 2))
    pairs = matched(first, second)
    assert ops(first, pairs.values()) == ops(second, pairs)
    assert list(pairs) == sorted(pairs)
    assert list(pairs.values()) == sorted(set(pairs.values()))


def test_a_new_block_is_left_out_as_a_whole():
    def stage(depth):
        x = blocks.conv(input_node((8, 8, 2)), 8)
        for _ in range(depth):
            x = blocks.inverted_residual(x, 8, expansion=3)
        return freeze(head(x))

    parent, child = stage(2), stage(3)
    pairs = matched(parent, child)
    new = [
        index
        for index, record in enumerate(child.layers)
        if record.op in ("conv", "depthwise", "batch_norm", "dense") and index not in pairs
    ]
    one = ["conv", "batch_norm", "depthwise", "batch_norm", "conv", "batch_norm"]
    assert ops(child, new) == one
    jumps = [new - old for new, old in pairs.items()]
    assert jumps == sorted(jumps)
    assert len(set(jumps)) == 2  # none before the block, its length behind it


def test_the_layers_of_a_removed_node_are_the_ones_left_out():
    nodes = [
        Vertex("conv3", 8),
        Vertex("separable3", 16),
        Vertex("conv5", 8),
        Vertex("conv1", 16),
    ]
    graph = Graph(tuple(nodes), tuple(Edge(i, i + 1) for i in range(4)))
    graphs = GraphNetwork((8, 8, 2), 3)
    for number in range(1, 5):
        parent = graphs.network(graphs.values_of(graph))
        child = graphs.network(graphs.values_of(edits.remove_node(graph, number)))
        pairs = matched(parent, child)
        left_out = set(matched(parent, parent)) - set(pairs.values())
        expected = ["depthwise", "batch_norm"] if number == 2 else []
        assert ops(parent, sorted(left_out)) == [*expected, "conv", "batch_norm"]
        kernels = [parent.layers[i].settings for i in sorted(left_out)]
        assert ("kernel", (3, 1, 5, 1)[number - 1]) in kernels[-2]


def test_a_cell_of_another_kind_is_no_match():
    gru, lstm = (
        described(lambda x, cell=cell: blocks.recurrent(x, 4, cell), shape=(7, 3))
        for cell in ("gru", "lstm")
    )
    assert matched(gru, lstm) == {}


# --- what is inherited --------------------------------------------------------------------


def test_the_same_network_inherits_everything():
    network = described(conv(4), conv(8), head)
    parent = settled(network)
    child, found = child_of(parent, network, network)
    assert found.share == 1.0
    assert found.weights == child.count_params()
    np.testing.assert_array_equal(child(X), parent(X))


@pytest.mark.parametrize(
    "grown",
    [
        (conv(6), conv(8), head),
        (conv(4), conv(12), head),
        (conv(4, kernel=5), conv(8), head),
        (conv(6, kernel=5), conv(12), head),
    ],
)
def test_a_network_that_only_grew_starts_as_what_its_parent_is(grown):
    network, larger = described(conv(4), conv(8), head), described(*grown)
    parent = settled(network)
    child, found = child_of(parent, network, larger)
    assert np.asarray(child(X)) == pytest.approx(np.asarray(parent(X)), abs=1e-5)
    assert found.copied == parent.count_params()
    assert found.share == parent.count_params() / child.count_params()


@pytest.mark.parametrize("operation", [blocks.conv, blocks.depthwise])
@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("small", "large"), [(1, 3), (1, 5), (3, 5), (2, 3), (1, 2)])
def test_larger_kernels_read_what_the_small_ones_did(operation, side, stride, small, large):
    plain = {"stride": stride, "activation": "linear"}
    if operation is blocks.conv:
        plain["filters"] = 3
    starts_as(
        *(described_as((side, side, 2), operation, kernel=k, **plain) for k in (small, large))
    )


@pytest.mark.parametrize("dilation", [2, 3])
@pytest.mark.parametrize(("small", "large"), [(1, 3), (3, 5)])
def test_larger_kernels_with_gaps_read_what_the_small_ones_did(dilation, small, large):
    starts_as(
        *(
            described_as((9, 8, 2), blocks.depthwise, kernel=k, dilation=dilation)
            for k in (small, large)
        )
    )


@pytest.mark.parametrize("operation", [blocks.conv, blocks.depthwise])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [9, 10])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("small", "large"), [(1, 3), (1, 5), (3, 5)])
def test_larger_kernels_over_steps_read_what_the_small_ones_did(
    operation, causal, length, stride, small, large
):
    plain = {"filters": 3} if operation is blocks.conv else {}

    def network(kernel):
        return freeze(
            sequences.along_time(
                operation, input_node((length, 2)), kernel, stride, causal=causal, **plain
            )
        )

    starts_as(network(small), network(large))


def described_as(shape, operation, **settings):
    """A network of one operation."""
    return freeze(operation(input_node(shape), **settings))


def starts_as(network, larger):
    """Check that a larger network starts as exactly what a settled smaller one is."""
    parent = settled(network)
    child, found = child_of(parent, network, larger)
    assert found.copied == parent.count_params()
    x = np.random.default_rng(0).normal(size=(2, *network.layers[0].shape)).astype(np.float32)
    assert np.asarray(child(x)) == pytest.approx(np.asarray(parent(x)), abs=1e-5)


def test_another_stride_or_padding_leaves_a_kernel_as_it_is():
    for change in ({"stride": 2}, {"padding": "valid"}):
        network = described_as((8, 8, 2), blocks.conv, filters=3)
        changed = described_as((8, 8, 2), blocks.conv, filters=3, **change)
        for parent, child in ((network, changed), (changed, network)):
            old = settled(parent)
            new, _ = child_of(old, parent, child)
            np.testing.assert_array_equal(new.layers[1].weights[0], old.layers[1].weights[0])


def test_a_kernel_that_grew_and_shrank_is_the_same_again():
    small, large = (
        described_as((8, 8, 2), blocks.conv, filters=3, kernel=k, stride=2) for k in (1, 3)
    )
    first = settled(small)
    grown, _ = child_of(first, small, large)
    again, _ = child_of(grown, large, small)
    np.testing.assert_array_equal(again.layers[1].weights[0], first.layers[1].weights[0])


def test_mobile_blocks_that_grew_start_as_what_they_were():
    def network(expansion, kernel):
        block = {"kernel": kernel, "expansion": expansion}
        return described(conv(8), lambda x: blocks.inverted_residual(x, 8, **block), head)

    small, large = network(2, 3), network(4, 5)
    parent = settled(small)
    child, _ = child_of(parent, small, large)
    assert np.asarray(child(X)) == pytest.approx(np.asarray(parent(X)), abs=1e-5)


def test_a_smaller_layer_takes_the_first_channels_and_the_middle_of_kernels():
    large, small = described(conv(8, kernel=5)), described(conv(4))
    parent = settled(large)
    child, found = child_of(parent, large, small)
    kernel, (_, norm) = parent.layers[1].weights[0], (None, parent.layers[2])
    np.testing.assert_array_equal(child.layers[1].weights[0], kernel[1:4, 1:4, :, :4])
    for ours, theirs in zip(child.layers[2].weights, norm.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs[:4])
    assert found.share == 1.0


def test_new_channels_have_fresh_weights_and_lead_nowhere_yet():
    network, wider = described(conv(4), conv(4)), described(conv(6), conv(6))
    child, _ = child_of(settled(network), network, wider)
    kernel = np.asarray(child.get_layer("conv_4").kernel)
    assert not kernel[:, :, 4:, :4].any()
    assert kernel[:, :, :, 4:].all()
    fresh = realise(wider, seed=1).get_layer("conv_4").kernel
    np.testing.assert_array_equal(kernel[..., 4:], np.asarray(fresh)[..., 4:])


def test_parts_of_a_concatenation_keep_their_weights_when_others_grow():
    def network(width):
        x = input_node((8, 8, 2))
        both = blocks.concatenate(blocks.conv(x, width), blocks.conv(x, 4, 1))
        return freeze(head(blocks.conv(both, 8)))

    parent = settled(network(4))
    child, _ = child_of(parent, network(4), network(6))
    assert np.asarray(child(X)) == pytest.approx(np.asarray(parent(X)), abs=1e-5)


def test_equal_parts_of_a_concatenation_keep_each_its_own_weights():
    def twice(x):
        return blocks.conv(blocks.concatenate(x, x), 4)

    network = described(conv(4), twice)
    parent = settled(network)
    child, _ = child_of(parent, network, network)
    np.testing.assert_array_equal(child.layers[-3].weights[0], parent.layers[-3].weights[0])
    np.testing.assert_array_equal(child(X), parent(X))


def test_each_pixel_keeps_its_weights_behind_a_flatten():
    def network(width):
        return described(conv(width), blocks.flatten, lambda x: blocks.dense(x, 3))

    parent = settled(network(4))
    child, _ = child_of(parent, network(4), network(6))
    assert np.asarray(child(X)) == pytest.approx(np.asarray(parent(X)), abs=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_units_of_a_larger_state_do_what_they_did(cell, bidirectional):
    def network(units):
        return described(
            lambda x: blocks.recurrent(x, units, cell, bidirectional=bidirectional),
            lambda x: blocks.dense(x, 3),
            shape=(7, 3),
        )

    parent = settled(network(4))
    child, found = child_of(parent, network(4), network(6))
    assert found.copied == parent.count_params()
    expected = np.asarray(parent(SERIES))
    assert np.asarray(child(SERIES)) == pytest.approx(expected, abs=1e-5)


def test_a_layer_in_between_leaves_the_weights_behind_it_where_they_were():
    network = described(conv(4), conv(8), head)
    deeper = described(conv(4), conv(4), conv(8), head)
    parent = settled(network)
    child, found = child_of(parent, network, deeper)
    behind = max(found.layers, key=lambda new: (deeper.layers[new].op == "conv", new))
    assert dict(deeper.layers[behind].settings)["filters"] == 8
    np.testing.assert_array_equal(
        child.get_layer(layer_name(deeper, behind)).kernel, parent.get_layer("conv_4").kernel
    )


def test_weights_alone_will_do_for_a_parent():
    network, wider = described(conv(4), head), described(conv(8), head)
    parent = settled(network)
    child, found = child_of(weights_of(parent), network, wider)
    again, _ = child_of(parent, network, wider)
    assert found.copied == parent.count_params()
    np.testing.assert_array_equal(child(X), again(X))


def test_weights_of_other_shapes_are_not_loaded():
    weights = weights_of(realise(described(conv(4))))
    with pytest.raises(ValueError, match=r"Received: \[\(3, 3, 2, 4\)\] for `conv_1`"):
        load(realise(described(conv(8))), weights)


def inherits_from_a_neighbour(name):
    made, rng = space(name), np.random.default_rng(0)
    member = members.draw(made, rng)
    near = list(members.neighbours(made, member.values))
    child = near[int(rng.integers(len(near)))].network
    parent = realise(member.network, seed=0)
    _, found = child_of(parent, member.network, child)
    assert 0.0 < found.share <= 1.0
    _, all_of_it = child_of(parent, member.network, member.network)
    assert all_of_it.share == 1.0


@pytest.mark.parametrize("name", ["graph", "mobilenet", "transformer"])
def test_a_child_inherits_from_its_parent(name):
    inherits_from_a_neighbour(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_a_child_of_any_space_inherits_from_its_parent(name):
    inherits_from_a_neighbour(name)
