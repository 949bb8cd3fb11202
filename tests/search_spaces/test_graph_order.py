from search_spaces import blocks
from search_spaces.graph_order import steps
from search_spaces.network import Layer, Network, freeze, input_node, input_nodes, layer


def image():
    return input_node((8, 8, 4))


def named(graph):
    return [step.op for step in graph]


def test_steps_follow_what_they_read():
    x = blocks.conv(image(), 4)
    y = blocks.add(x, blocks.max_pool(x, 3, 1), blocks.conv(x, 4, 1), blocks.multiply(x, x))
    for position, step in enumerate(steps(freeze(y))):
        assert all(source < position for source in step.inputs)


def test_a_sum_of_four_is_three_sums():
    x = image()
    terms = [x, *(blocks.conv(x, 4, k) for k in (1, 3, 5))]
    assert named(steps(freeze(blocks.add(*terms)))).count("add") == 3


def test_what_is_computed_twice_is_one_step():
    # Descriptions that were not made by `freeze`, which merges such layers itself.
    shape, pool = (8, 8, 4), (("size", 3), ("stride", 1))
    network = Network(
        (
            Layer("input", (), (("shape", shape),), shape),
            Layer("max_pool", (0,), pool, shape),
            Layer("max_pool", (0,), pool, shape),
            Layer("add", (1, 2), (), shape),
        )
    )
    graph = steps(network)
    assert named(graph) == ["input", "max_pool", "add"]
    assert graph[-1].inputs == (1, 1)


def test_layers_with_weights_are_never_the_same():
    x = image()
    assert (
        named(steps(freeze(blocks.add(blocks.conv(x, 4), blocks.conv(x, 4))))).count("conv")
        == 2
    )


def test_the_earlier_name_comes_first_and_names_are_text():
    # "conv_4" is a later text than "conv_10".
    x = blocks.conv(image(), 4)
    y = blocks.conv(blocks.conv(x, 6, stride=2), 8)
    assert y.index == 9
    graph = steps(freeze(blocks.add(y, blocks.conv(x, 8, 1, stride=2))))
    kernels = [step.settings["kernel"] for step in graph if step.op == "conv"]
    assert kernels == [3, 1, 3, 3]


def test_a_product_follows_its_last_factor_at_once():
    x = blocks.conv(image(), 4)
    product = blocks.multiply(x, blocks.average_pool(x, 5, 1))
    names = named(steps(freeze(blocks.add(product, blocks.max_pool(x, 3, 1)))))
    assert names[-4:] == ["average_pool", "multiply", "max_pool", "add"]


def test_dropout_and_linear_activations_are_no_steps():
    x = layer("activation", blocks.dropout(image(), 0.5), function="linear")
    assert named(steps(freeze(blocks.max_pool(x)))) == ["input", "max_pool"]


def test_changes_of_shape_sink_below_what_works_on_elements():
    x = blocks.reshape(blocks.max_pool(image()), (16, 4))
    x = blocks.reshape(blocks.activation(x, "tanh"), (4, 4, 4))
    assert named(steps(freeze(blocks.max_pool(x)))) == [
        *("input", "max_pool", "activation", "max_pool")
    ]


def test_a_vector_that_is_added_loses_its_batch():
    x = input_node((7,))
    graph = steps(freeze(blocks.add(x, blocks.activation(x, "tanh"))))
    assert [step.shape for step in graph if step.op == "reshaped"] == [(7,)]


def test_branches_of_several_inputs_are_one_after_the_other_by_their_names():
    nodes = input_nodes({"b": (8, 8, 4), "a": (8, 8, 4)})
    kernels = {"a": 1, "b": 3}
    # The description has the other order.
    branches = [blocks.conv(nodes[name], 4, kernels[name]) for name in "ba"]
    graph = steps(freeze(blocks.add(*branches)))
    assert [step.name for step in graph[:2]] == ["a", "b"]
    assert named(graph)[:2] == ["input", "input"]
    assert [step.settings["kernel"] for step in graph if step.op == "conv"] == [1, 3]


def test_inputs_of_one_shape_stay_two():
    nodes = input_nodes({"a": (4,), "b": (4,)})
    graph = steps(freeze(blocks.concatenate(*nodes.values())))
    assert [step.inputs for step in graph] == [(), (), (0, 1)]
