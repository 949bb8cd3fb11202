import pytest

from search_spaces import blocks
from search_spaces.canonical import ZERO, simplified
from search_spaces.network import freeze, input_node, layer


def described(describe, shape=(8, 8, 4)):
    return freeze(describe(input_node(shape)))


def conv(x, **options):
    return blocks.conv(x, x.channels, 3, **options)


def same(one, other):
    first, second = described(one), described(other)
    assert (first == second) == (first.digest == second.digest)
    return first == second


@pytest.mark.parametrize(
    "operation",
    [
        blocks.zero,
        conv,
        lambda x: conv(x, activation="hard_silu"),
        lambda x: blocks.depthwise(x, 5),
        lambda x: layer("conv", x, filters=4, kernel=1, stride=1, bias=False),
        blocks.batch_norm,
        lambda x: blocks.activation(x, "relu"),
        lambda x: blocks.max_pool(x, 3, 1),
        lambda x: blocks.average_pool(x, 3, 1),
        lambda x: blocks.dropout(x, 0.5),
        lambda x: blocks.rescale(x, 3.0),
        lambda x: blocks.multiply(x, x),
        lambda x: blocks.crop(blocks.pad(x, ((1, 0), (0, 1))), ((1, 0), (0, 1))),
    ],
)
def test_zeros_stay_zeros_and_are_no_summands(operation):
    assert same(
        lambda x: conv(blocks.add(conv(x), operation(blocks.zero(x)))), lambda x: conv(conv(x))
    )


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: conv(x, norm=False),
        lambda x: blocks.activation(x, "sigmoid"),
        lambda x: blocks.activation(x, "hard_sigmoid"),
        lambda x: blocks.rescale(x, 3.0, (0.0, 0.0, 1.0, 0.0)),
        blocks.layer_norm,
    ],
)
def test_what_is_not_zero_at_zero_is_kept(operation):
    assert not same(
        lambda x: conv(blocks.add(conv(x), operation(blocks.zero(x)))), lambda x: conv(conv(x))
    )


def test_what_is_multiplied_by_zero_goes_with_its_weights():
    assert same(
        lambda x: blocks.add(conv(x), blocks.zero(conv(conv(x)))),
        lambda x: blocks.add(blocks.zero(x), conv(x)),
    )
    assert same(
        lambda x: blocks.multiply(conv(x), blocks.zero(x)), lambda x: blocks.zero(conv(x))
    )


def test_costs_are_those_of_the_network_as_described():
    network = described(lambda x: blocks.add(x, blocks.zero(conv(x))))
    assert len(network) == 6
    assert len(network.canonical) == 1


def test_a_constant_network_is_not_the_same_for_inputs_of_another_shape():
    def constant(x):
        return blocks.dense(blocks.global_average_pool(blocks.zero(x)), 3)

    networks = [described(constant, shape) for shape in [(8, 8, 4), (8, 8, 4), (9, 8, 4)]]
    assert networks[0] == networks[1] != networks[2]
    assert [record.op for record in networks[0].canonical] == ["input", ZERO, "dense"]


def test_a_zero_that_gives_a_sum_its_shape_is_kept():
    network = described(lambda x: blocks.add(blocks.zero(x), _pixel(x)))
    assert {record.op for record in network.canonical} >= {ZERO, "add"}


def _pixel(x):
    return blocks.global_average_pool(x, keepdims=True)


@pytest.mark.parametrize(
    "operation",
    [
        blocks.identity,
        lambda x: blocks.subsample(x, 1),
        lambda x: blocks.max_pool(x, 1),
        lambda x: blocks.pad(x, ((0, 0), (0, 0))),
        lambda x: blocks.crop(x, ((0, 0), (0, 0))),
        lambda x: blocks.reshape(x, x.shape),
        lambda x: blocks.rescale(x, 1.0),
        lambda x: blocks.rescale(x, (1.0, 1.0, 1.0, 1.0), 0.0),
        lambda x: layer("activation", x, function="linear"),
        lambda x: layer("dropout", x, rate=0.0),
        lambda x: layer("add", x),
        lambda x: layer("concatenate", x),
        lambda x: blocks.upsample(x, 1),
    ],
)
def test_what_changes_nothing_is_left_out(operation):
    assert same(lambda x: conv(operation(conv(x))), lambda x: conv(conv(x)))


def test_what_has_a_stride_changes_something():
    assert not same(lambda x: conv(blocks.subsample(x, 2)), conv)


def test_sums_of_sums_are_sums():
    def nested(order):
        def describe(x):
            parts = [conv(x), blocks.depthwise(x, 5), blocks.max_pool(x, 3, 1), x]
            a, b, c, d = (parts[i] for i in order)
            return conv(blocks.add(blocks.add(a, blocks.add(b, c)), d))

        return describe

    def flat(x):
        return conv(blocks.add(x, blocks.max_pool(x, 3, 1), conv(x), blocks.depthwise(x, 5)))

    assert same(nested([0, 1, 2, 3]), flat)
    assert same(nested([3, 1, 0, 2]), nested([2, 3, 1, 0]))


def test_a_sum_that_something_else_reads_too_stays_one():
    def network(x):
        inner = blocks.add(conv(x), x)
        return blocks.add(blocks.activation(inner, "relu"), inner)

    sums = [record for record in described(network).canonical if record.op == "add"]
    assert [len(record.inputs) for record in sums] == [2, 2]


def test_zeros_that_go_leave_sums_that_are_joined():
    assert same(
        lambda x: conv(
            blocks.add(blocks.add(conv(x), x), blocks.zero(conv(blocks.add(conv(x), x))))
        ),
        lambda x: conv(blocks.add(x, conv(x))),
    )


def test_the_same_without_weights_is_computed_once():
    def twice(x):
        return blocks.add(blocks.max_pool(x, 3, 1), blocks.max_pool(x, 3, 1))

    def once(x):
        pooled = blocks.max_pool(x, 3, 1)
        return blocks.add(pooled, pooled)

    assert same(twice, once)
    assert len(described(twice)) == 3


def test_the_same_with_weights_or_chance_is_not():
    def twice(part):
        return lambda x: blocks.add(part(x), part(x))

    def once(part):
        def describe(x):
            made = part(x)
            return blocks.add(made, made)

        return describe

    for part in (conv, blocks.depthwise, lambda x: blocks.dropout(x, 0.5)):
        assert not same(twice(part), once(part))


def test_simplified_layers_are_as_simple_as_they_get():
    network = described(
        lambda x: blocks.add(blocks.add(conv(x), x), blocks.zero(x), blocks.zero(conv(x)))
    )
    once = simplified(network.layers)
    assert [record.op for record in once][-1] == "add"
    assert simplified(once) == once
    assert len(once) == 5  # input, convolution, normalisation, activation, sum
