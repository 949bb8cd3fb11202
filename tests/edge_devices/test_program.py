import pytest

from edge_devices.program import Constant, Operator, Program, Tensor


def of(operator, *shapes):
    tensors = tuple(Tensor((1, *shape)) for shape in shapes)
    return Program(tensors, (operator,), (0,), (len(shapes) - 1,))


@pytest.mark.parametrize(
    ("op", "weights", "written", "macs"),
    [
        ("CONV_2D", (16, 5, 3, 8), (10, 4, 16), 10 * 4 * 16 * 5 * 3 * 8),
        ("CONV_2D", (16, 3, 3, 2), (10, 4, 16), 10 * 4 * 16 * 3 * 3 * 2),  # 4 groups
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 8), (10, 4, 8), 10 * 4 * 8 * 3 * 3),
        ("FULLY_CONNECTED", (12, 64), (12,), 12 * 64),
        ("FULLY_CONNECTED", (), (12,), 0),  # its operands are both activations
        ("MEAN", (2,), (8,), 0),
    ],
)
def test_macs_are_those_of_the_textbook(op, weights, written, macs):
    program = of(Operator(op, (0,), (1,), weights), (10, 4, 8), written)
    assert program.macs(program.operators[0]) == macs


def test_products_of_activations_are_counted_as_well():
    # Two heads, ten queries of width 3 against eight keys.
    program = of(Operator("BATCH_MATMUL", (0, 1), (2,)), (2, 10, 3), (2, 3, 8), (2, 10, 8))
    assert program.macs(program.operators[0]) == 2 * 10 * 3 * 8


def test_the_values_of_a_constant_take_what_their_type_says():
    assert Constant("int8", (16, 3, 3, 8), 16).bytes == 16 * 3 * 3 * 8
    assert Constant("int32", (16,), 16).bytes == 64
    assert Constant("int4", (5, 3), 1).bytes == 8


@pytest.mark.parametrize(
    ("dtype", "size"), [("int8", 7), ("int4", 4), ("int16", 14), ("float32", 28), ("bool", 7)]
)
def test_a_tensor_takes_whole_bytes(dtype, size):
    assert Tensor((1, 7), dtype).bytes == size


def test_every_output_channel_has_a_bias():
    depthwise = Operator("DEPTHWISE_CONV_2D", (0,), (1,), (1, 3, 3, 8), bias=True)
    assert depthwise.channels == 8
    assert Operator("CONV_2D", (0,), (1,), (16, 3, 3, 8), bias=True).channels == 16
    assert Operator("CONV_2D", (0,), (1,), (16, 3, 3, 8)).channels == 0


def test_constants_take_what_their_type_says():
    assert Operator("CONV_2D", (0,), (1,), (16, 1, 1, 8)).weight_bytes == 128
    assert Operator("MEAN", (0,), (1,), (2,), weight_dtype="int32").weight_bytes == 8
    assert Operator("ADD", (0, 1), (2,)).weight_bytes == 0
