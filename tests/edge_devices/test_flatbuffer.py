import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edge_devices import synthesis
from edge_devices.flatbuffer import read
from edge_devices.program import Constant, Operator, Program, Tensor


def branching():
    """A convolution with a rectangle, a depthwise one beside a pool, a sum, a dense layer."""
    shapes = [(1, 9, 8, 3), (1, 5, 4, 8), (1, 5, 4, 8), (1, 5, 4, 8), (1, 5, 4, 8)]
    shapes += [(1, 8), (1, 5)]
    operators = (
        Operator(
            "CONV_2D",
            (0,),
            (1,),
            (8, 4, 3, 3),
            bias=True,
            window=(4, 3),
            stride=(2, 2),
            activation="RELU6",
        ),
        Operator("DEPTHWISE_CONV_2D", (1,), (2,), (1, 3, 3, 8), bias=True, window=(3, 3)),
        Operator("MAX_POOL_2D", (1,), (3,), window=(3, 2)),
        Operator("ADD", (2, 3), (4,), activation="RELU"),
        Operator("MEAN", (4,), (5,), (2,), weight_dtype="int32"),
        Operator("FULLY_CONNECTED", (5,), (6,), (5, 8), bias=True),
    )
    constants = (
        Constant("int32", (2,)),
        *(Constant("int32", (size,), size) for size in (5, 8, 8)),
        *(
            Constant("int8", w, s)
            for w, s in (((1, 3, 3, 8), 8), ((5, 8), 5), ((8, 4, 3, 3), 8))
        ),
    )
    return Program(tuple(map(Tensor, shapes)), operators, (0,), (6,), constants)


@pytest.fixture(scope="module")
def content():
    return synthesis.file(branching())


def test_what_was_written_is_read(content):
    assert read(content) == branching()


def test_activations_are_those_of_the_interpreter(content):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    details = {item["index"]: item for item in interpreter.get_tensor_details()}
    program = read(content)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert program.tensors[program.inputs[0]].shape == tuple(source["shape"])
    assert program.tensors[program.outputs[0]].shape == tuple(target["shape"])
    theirs = sorted(
        (tuple(details[index]["shape"]), np.dtype(details[index]["dtype"]).name)
        for operator in interpreter._get_ops_details()
        for index in operator["outputs"]
        if operator["op_name"] != "DELEGATE"
    )
    ours = [program.tensors[index] for o in program.operators for index in o.outputs]
    assert sorted(map(tuple, ours)) == theirs


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_types_are_read(dtype):
    tensors = (Tensor((1, 6), dtype), Tensor((1, 5), dtype))
    weights = "float32" if dtype == "float32" else "int8"
    dense = Operator("FULLY_CONNECTED", (0,), (1,), (5, 6), bias=True, weight_dtype=weights)
    scales = 0 if dtype == "float32" else 5
    constants = (
        Constant("float32" if dtype == "float32" else "int64", (5,), scales),
        Constant(weights, (5, 6), scales),
    )
    program = Program(tensors, (dense,), (0,), (1,), constants)
    assert read(synthesis.file(program)) == program


def test_gaps_and_biases_of_zero_are_read():
    tensors = (Tensor((1, 9, 9, 4)), Tensor((1, 5, 7, 8)))
    settings = {"window": (3, 3), "dilation": (2, 1), "padding": "VALID"}
    conv = Operator("CONV_2D", (0,), (1,), (8, 3, 3, 4), **settings)
    program = read(synthesis.file(Program(tensors, (conv,), (0,), (1,))))
    assert program.operators[0].dilation == (2, 1)
    assert program.constants == (
        Constant("int32", (8,), 8, zero=True),  # which a kernel wants
        Constant("int8", (8, 3, 3, 4), 8),
    )


def rewritten(content, change):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_weights_behind_the_flatbuffer_are_constants_too(content):
    # `litert-quantizer` writes larger files so.
    def moved(size):
        def change(model):
            for buffer in model.buffers:
                if buffer.data is not None and len(buffer.data) > 50:
                    buffer.offset, buffer.size, buffer.data = 1 << 20, size, None

        return change

    assert read(rewritten(content, moved(size=100))) == branching()
    lost = read(rewritten(content, moved(size=0)))
    assert lost.operators[0].weights == ()


def test_custom_operators_are_read_under_their_own_name(content):
    def rename(model):
        for code in model.operatorCodes:
            if code.builtinCode == schema.BuiltinOperator.ADD:
                code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
                code.customCode = b"MySum"
        for operator in model.subgraphs[0].operators:
            if operator.builtinOptionsType == schema.BuiltinOptions.AddOptions:
                operator.builtinOptionsType, operator.builtinOptions = 0, None

    names = [operator.op for operator in read(rewritten(content, rename)).operators]
    assert names[3] == "MySum"


def test_other_files_are_refused():
    with pytest.raises(ValueError, match=r"not a \.tflite file. Received: 9 bytes"):
        read(b"PK\x03\x04 zip!")
