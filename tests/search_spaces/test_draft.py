from edge_devices.program import Tensor
from search_spaces.draft import Draft

INPUT = 0  # position of the first input
SHAPE = (1, 8, 8, 4)


def draft():
    return Draft([Tensor(SHAPE)])


def names(program):
    return [operator.op for operator in program.operators]


def test_what_leads_nowhere_is_left_out():
    made = draft()
    made.add("TANH", SHAPE, INPUT)
    program = made.program(made.add("RELU", SHAPE, INPUT))
    assert names(program) == ["RELU"]
    assert len(program.tensors) == 2


def test_constants_of_equal_value_are_one():
    made = draft()
    first = made.add_constant("MUL", SHAPE, INPUT, (1,), 0.5, dtype="int8")
    second = made.add_constant("MUL", SHAPE, first, (1,), 0.5, dtype="int8")
    third = made.add_constant("MUL", SHAPE, second, (1,), dtype="int8")
    assert len(made.program(third).constants) == 2


def test_an_operator_may_read_several_constants():
    made = draft()
    sliced = made.add_constant("STRIDED_SLICE", (1, 7, 8, 4), INPUT, (4,), "begin", "end")
    program = made.program(sliced)
    assert [constant.shape for constant in program.constants] == [(4,), (4,)]
    assert program.operators[0].weights == (4,)


def test_an_operator_with_several_outputs_writes_them_all():
    made = draft()
    rows = made.add_several("UNPACK", (8, 8, 4), INPUT, 3)
    program = made.program(made.add("TANH", (8, 8, 4), rows[2]))
    assert program.operators[0].outputs == (1, 2, 3)
    assert program.operators[1].inputs == (3,)


def test_of_two_reshapes_the_second_is_enough():
    made = draft()
    flat = made.reshape((1, 256), INPUT)
    assert made.reshape(SHAPE, flat) == INPUT
    assert names(made.program(made.reshape((1, 16, 16), flat))) == ["RESHAPE"]


class TestScales:
    """Inputs of a concatenation have one scale."""

    def test_an_operator_of_its_own_takes_the_scale_of_all(self):
        made = draft()
        left, right = (made.add(op, SHAPE, INPUT) for op in ("ADD", "MUL"))
        assert "QUANTIZE" not in names(
            made.program(made.add("CONCATENATION", SHAPE, left, right))
        )

    def test_one_that_others_read_keeps_its_own(self):
        made = draft()
        left = made.add("ADD", SHAPE, INPUT)
        right = made.add("MUL", SHAPE, left)
        program = made.program(made.add("CONCATENATION", SHAPE, left, right))
        assert names(program) == ["ADD", "MUL", "QUANTIZE", "CONCATENATION"]
        assert program.operators[2].inputs == program.operators[0].outputs
        assert program.operators[3].inputs[0] == len(program.tensors) - 1  # appended

    def test_one_that_moves_values_cannot_change_it(self):
        made = draft()
        pool = made.add("MAX_POOL_2D", SHAPE, INPUT)
        other = made.add("ADD", SHAPE, INPUT)
        program = made.program(made.add("CONCATENATION", SHAPE, pool, other))
        assert names(program).count("QUANTIZE") == 1

    def test_a_table_has_its_own(self):
        made = Draft([Tensor((1, 6), "int32")])
        rows = made.add_constant("GATHER", (1, 6, 4), INPUT, (9, 4), dtype="int8")
        program = made.program(made.add("TANH", (1, 6, 4), rows))
        assert names(program) == ["GATHER", "QUANTIZE", "TANH"]
        assert program.tensors[0].dtype == "int32"


def test_all_inputs_come_first_whether_they_are_read_or_not():
    made = Draft([Tensor((1, 4)), Tensor((1, 3), "float32")])
    program = made.program(made.add("TANH", (1, 4), 0))
    assert program.inputs == (0, 1)
    assert [tensor.dtype for tensor in program.tensors] == ["int8", "float32", "int8"]
