import pytest

from benchmarks.device_costs import OTHERS, exported
from search_spaces import blocks, costs
from search_spaces.file_size import FITTED, file_bytes, parts
from search_spaces.lowering import lower
from search_spaces.members import draws
from search_spaces.network import freeze, input_node, layer


def program(output):
    return lower(freeze(output))


def test_weights_that_steps_share_count_once():
    short, long = (
        parts(program(blocks.recurrent(input_node((length, 64)), 64, sequences=False)))
        for length in (2, 4)
    )
    assert long.counts["weighted"] - short.counts["weighted"] == 4
    assert long.settled - short.settled < 4_000  # biases of two steps, not 24 KB of weights


def test_biases_that_a_kernel_wants_are_the_same_zeros():
    def chain(count):
        x = input_node((8, 8, 512))
        for _ in range(count):
            x = layer("depthwise", x, kernel=3, stride=1, bias=False)
        return program(x)

    zeros = [constant.shape for constant in chain(3).constants if constant.zero]
    assert zeros == [(512,)] * 3
    one, two, three = (parts(chain(count)).settled for count in (1, 2, 3))
    assert three - two == two - one  # nine weights and two scales a channel, and no bias
    assert three - two == pytest.approx(512 * (9 + 4 + 4), rel=0.02)


def test_masks_take_a_byte_a_score():
    sizes = [
        file_bytes(program(blocks.attention(input_node((64, 8)), 2, causal=causal)))
        for causal in (False, True)
    ]
    assert sizes[1] - sizes[0] == pytest.approx(2 * 64 * 64, rel=0.1)


def test_every_operator_is_of_a_kind_that_was_fitted():
    x = blocks.recurrent(blocks.sinusoid(input_node((6, 4))), 4)
    counted = parts(program(blocks.attention(blocks.layer_norm(x), 2))).counts
    assert counted.keys() == FITTED.keys()
    assert all(counted[kind] for kind in FITTED if kind != "pool")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OTHERS.keys() - {"mlp"}))
def test_the_size_is_that_of_the_file_in_every_space(name):
    for number, member in enumerate(draws(OTHERS[name](), 3, seed=2)):
        size = len(exported(member.network, number))
        if size > 20_000:  # smaller ones are mostly what a file says of itself
            assert costs.flash_bytes(member.network) == pytest.approx(size, rel=0.015)
