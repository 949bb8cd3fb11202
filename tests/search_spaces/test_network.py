import subprocess
import sys

import numpy as np
import pytest

from search_spaces import blocks
from search_spaces.network import freeze, input_node, input_nodes, layer


def test_layers_that_lead_nowhere_are_left_out():
    x = input_node((8, 8, 1))
    blocks.conv(x, 64)
    assert len(freeze(blocks.conv(x, 8))) == 4  # input, convolution, normalisation, activation


def test_the_order_of_description_and_of_summands_makes_no_difference():
    def network(order):
        x = input_node((8, 8, 4))
        made = {}
        for name in order:
            made[name] = blocks.conv(x, 4, 3) if name == "conv" else blocks.depthwise(x, 5)
        return freeze(blocks.add(*(made[name] for name in order)))

    one, other = network(["conv", "depthwise"]), network(["depthwise", "conv"])
    assert one.layers != other.layers
    assert one == other
    assert one.digest == other.digest
    assert len({one, other}) == 1


def test_using_a_layer_twice_is_not_the_same_as_two_equal_layers():
    x = input_node((8, 8, 4))
    once = blocks.conv(x, 4, 3)
    shared = freeze(blocks.add(once, once))
    x = input_node((8, 8, 4))
    apart = freeze(blocks.add(blocks.conv(x, 4, 3), blocks.conv(x, 4, 3)))
    assert shared != apart


def test_crossed_branches_of_equal_parts_are_told_apart():
    def network(crossed):
        x = input_node((8, 8, 4))
        a, b = blocks.conv(x, 4, 3), blocks.conv(x, 4, 5)
        left, right = blocks.max_pool(a, 3, 1), blocks.average_pool(b, 3, 1)
        if crossed:
            left, right = blocks.max_pool(b, 3, 1), blocks.average_pool(a, 3, 1)
        return freeze(blocks.add(left, right))

    assert network(crossed=False) == network(crossed=False)
    assert network(crossed=False) != network(crossed=True)


@pytest.mark.parametrize("setting", [{"kernel": 5}, {"filters": 16}, {"activation": "relu"}])
def test_every_setting_counts(setting):
    plain = {"filters": 8, "kernel": 3, "activation": "relu6"}
    networks = [
        freeze(blocks.conv(input_node((8, 8, 1)), **options))
        for options in (plain, {**plain, **setting})
    ]
    assert networks[0] != networks[1]


def test_the_digest_is_the_same_in_every_process():
    code = (
        "from search_spaces import blocks\n"
        "from search_spaces.network import freeze, input_node\n"
        "x = input_node((8, 8, 4))\n"
        "print(freeze(blocks.add(blocks.conv(x, 4), blocks.depthwise(x))).digest)"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_a_thousand_layers_are_no_trouble():
    x = input_node((8, 8, 8))
    for _ in range(400):
        x = blocks.add(x, blocks.conv(x, 8))
    network = freeze(x)
    assert len(network.canonical) == len(network) == 1601


def test_nodes_of_different_networks_cannot_be_joined():
    x, y = input_node((8, 8, 4)), input_node((8, 8, 4))
    with pytest.raises(ValueError, match="different networks"):
        blocks.add(x, y)


def test_shapes_that_do_not_fit_are_an_error_that_names_them():
    x = input_node((8, 8, 4))
    with pytest.raises(ValueError, match=r"\(8, 8, 4\), \(4, 4, 4\)"):
        blocks.add(x, blocks.max_pool(x))


def test_a_network_prints_one_line_a_layer():
    text = str(freeze(blocks.conv(input_node((8, 8, 1)), 8, norm=False)))
    assert text.splitlines()[1].split() == [
        "1",
        "conv(0)",
        "bias=True,",
        "filters=8,",
        "kernel=3,",
        "stride=1",
        "->",
        "8x8x8",
    ]


def test_a_layer_takes_any_operation_by_name():
    node = layer("average_pool", input_node((7, 7, 3)), size=2, stride=2)
    assert node.shape == (4, 4, 3)


def two_tables():
    return input_nodes({"b": (4,), "a": (6,)}, {"a": "int32"})


def test_inputs_are_the_first_layers_sorted_by_name():
    nodes = two_tables()
    assert list(nodes) == ["a", "b"]
    network = freeze(blocks.dense(nodes["b"], 3))
    assert network.inputs == (("a", (6,), "int32"), ("b", (4,), "float32"))
    assert [record.op for record in network.layers] == ["input", "input", "dense"]


def test_one_input_has_no_name_of_its_own():
    network = freeze(blocks.dense(input_node((4,)), 3))
    assert network.inputs == (("input", (4,), "float32"),)
    assert network.layers[0].settings == (("shape", (4,)),)  # as in journals since the first


def test_a_node_knows_the_shape_of_the_input_that_leads_to_it():
    nodes = two_tables()
    x = blocks.activation(blocks.dense(nodes["b"], 6), "relu")
    assert x.input_shape == (4,)
    assert blocks.concatenate(nodes["a"], x).input_shape == (6,)
    assert x.inputs["a"].shape == (6,)


def test_which_input_is_read_counts():
    networks = []
    for name in "ab":
        nodes = input_nodes({"a": (4,), "b": (4,)})
        networks.append(freeze(blocks.dense(nodes[name], 3)))
    assert networks[0] != networks[1]


def test_equal_layers_of_two_inputs_are_two():
    nodes = input_nodes({"a": (4,), "b": (4,)})
    network = freeze(blocks.add(*(blocks.activation(x, "relu") for x in nodes.values())))
    assert len(network) == 5
    assert len(network.canonical) == 5


@pytest.mark.parametrize("wanted", ["shape", "dtype"])
def test_several_inputs_have_no_single_shape(wanted):
    network = freeze(blocks.dense(two_tables()["b"], 3))
    with pytest.raises(ValueError, match=rf"no single input {wanted}\. Received: inputs a, b"):
        getattr(network, f"input_{wanted}")


def test_texts_of_other_kinds_make_the_same_digest():
    digests = {
        freeze(
            blocks.dense(input_nodes({kind("a"): (4,), kind("b"): (3,)})[kind("a")], 3)
        ).digest
        for kind in (str, np.str_)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["", "1st", "an image", "a/b", "é", 3])
def test_inputs_have_names_that_files_can_have(name):
    with pytest.raises(ValueError, match="letters, digits and underscores"):
        input_nodes({name: (4,), "b": (3,)})


def test_inputs_may_be_numbered():
    assert list(input_nodes({"input_0": (4,), "input_1": (3,)})) == ["input_0", "input_1"]
