import pytest

from search_spaces import blocks
from search_spaces.lowering import lower
from search_spaces.network import freeze, input_node


def program(length=5, **settings):
    return lower(freeze(blocks.recurrent(input_node((length, 6)), 4, **settings)))


def counted(program, op):
    return sum(operator.op == op for operator in program.operators)


@pytest.mark.parametrize(("cell", "gates"), [("gru", 3), ("lstm", 4)])
def test_the_first_step_has_no_state_to_multiply(cell, gates):
    made = program(5, cell=cell, sequences=False)
    assert counted(made, "FULLY_CONNECTED") == 5 + 4
    assert sum(map(made.macs, made.operators)) == gates * 4 * (5 * 6 + 4 * 4)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_steps_share_weights(cell):
    short, long = (program(length, cell=cell, sequences=False) for length in (3, 9))
    assert [c for c in short.constants if c.dtype == "int8"] == [
        c for c in long.constants if c.dtype == "int8"
    ]


def test_each_state_of_a_gru_has_a_scale_hence_biases_of_its_own():
    biases = [
        c
        for c in program(5, sequences=False).constants
        if c.scales == 12 and c.dtype == "int32"
    ]
    assert len(biases) == 1 + 4


def test_all_states_are_packed_where_a_sequence_is_asked_for():
    made = program(5)
    assert counted(made, "PACK") == 1
    assert made.tensors[made.outputs[0]].shape == (1, 5, 4)
    # Each state is read by the next step too, the last one is not.
    assert counted(made, "QUANTIZE") == 4


def test_both_directions_are_concatenated_and_the_second_turned_around():
    made = program(5, bidirectional=True)
    assert (counted(made, "UNPACK"), counted(made, "GATHER")) == (1, 1)
    assert made.operators[-1].op == "CONCATENATION"
    assert made.tensors[made.outputs[0]].shape == (1, 5, 8)
    assert counted(program(5, bidirectional=True, sequences=False), "GATHER") == 0
