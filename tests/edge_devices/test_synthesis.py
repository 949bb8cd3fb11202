import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edge_devices import flatbuffer, host, synthesis
from edge_devices.program import Operator, Program, Tensor


def chain(*steps, shape=(1, 8, 8, 4), dtype="int8"):
    """A program of operators one after another: `(name, output shape, settings)`."""
    tensors = [Tensor(shape, dtype)]
    operators = []
    for op, after, settings in steps:
        operators.append(Operator(op, (len(tensors) - 1,), (len(tensors),), **settings))
        tensors.append(Tensor(after, dtype))
    return Program(tuple(tensors), tuple(operators), (0,), (len(tensors) - 1,))


def pair(op, left, right, after, **settings):
    """A program of one operator that reads two tensors."""
    tensors = tuple(map(Tensor, (left, right, after)))
    return Program(tensors, (Operator(op, (0, 1), (2,), **settings),), (0, 1), (2,))


def parts(op, before, after, **settings):
    """A program of one operator that writes several tensors, which are put together again."""
    tensors = (Tensor(before), *map(Tensor, after), Tensor((len(after), *after[0])))
    written = tuple(range(1, len(after) + 1))
    operators = (
        Operator(op, (0,), written, **settings),
        Operator("PACK", written, (len(after) + 1,)),
    )
    return Program(tensors, operators, (0,), (len(after) + 1,))


def classifier(dtype="int8", weight_dtype="int8"):
    weighted = {"bias": True, "weight_dtype": weight_dtype}
    large = {"window": (3, 3), "stride": (2, 2), "activation": "RELU6"}
    return chain(
        ("CONV_2D", (1, 4, 4, 6), {"weights": (6, 3, 3, 4), **weighted, **large}),
        ("DEPTHWISE_CONV_2D", (1, 4, 4, 12), {"weights": (1, 1, 1, 12), **weighted}),
        ("MEAN", (1, 12), INDICES),
        ("FULLY_CONNECTED", (1, 5), {"weights": (5, 12), **weighted}),
        dtype=dtype,
    )


INDICES = {"weights": (2,), "weight_dtype": "int32"}  # two axes, or the rank of a shape
CONV = {"weights": (4, 1, 1, 4), "padding": "VALID"}
DEPTHWISE = {"weights": (1, 3, 3, 8), "window": (3, 3), "bias": True, "padding": "VALID"}
GAPS = {"dilation": (2, 2)}
ONE_WAY = {"dilation": (2, 1), "bias": True}
WINDOW = {"window": (2, 2), "stride": (2, 2), "padding": "VALID"}
IMAGE = (1, 8, 8, 4)
ELEMENTWISE = ("LOGISTIC", "TANH", "HARD_SWISH", "RELU", "RELU6", "LEAKY_RELU", "ELU", "GELU")
PROGRAMS = {
    "CONV_2D": chain(("CONV_2D", IMAGE, CONV | {"bias": True})),
    "DEPTHWISE_CONV_2D": chain(("DEPTHWISE_CONV_2D", (1, 6, 6, 8), DEPTHWISE)),
    "FULLY_CONNECTED": chain(
        ("FULLY_CONNECTED", (1, 3), {"weights": (3, 7), "bias": True}), shape=(1, 7)
    ),
    "FULLY_CONNECTED on a series": chain(
        ("FULLY_CONNECTED", (1, 6, 3), {"weights": (3, 7)}), shape=(1, 6, 7)
    ),
    "ADD": pair("ADD", IMAGE, IMAGE, IMAGE, activation="RELU"),
    "ADD a constant": chain(("ADD", IMAGE, {"weights": (1,), "activation": "RELU6"})),
    "SUB": pair("SUB", IMAGE, IMAGE, IMAGE),
    "MUL": pair("MUL", IMAGE, (1, 1, 1, 4), IMAGE),
    "MUL by a constant": chain(("MUL", IMAGE, {"weights": (4,)})),
    "MEAN": chain(("MEAN", (1, 4), INDICES)),
    "MEAN that keeps dimensions": chain(("MEAN", (1, 1, 1, 4), INDICES)),
    "SUM": chain(("SUM", (1, 4), INDICES)),
    "REDUCE_MAX": chain(("REDUCE_MAX", (1, 4), INDICES)),
    "AVERAGE_POOL_2D": chain(("AVERAGE_POOL_2D", (1, 4, 4, 4), WINDOW)),
    "MAX_POOL_2D": chain(("MAX_POOL_2D", (1, 4, 4, 4), WINDOW)),
    "RESHAPE": chain(("RESHAPE", (1, 256), INDICES)),
    "TRANSPOSE": chain(("TRANSPOSE", (1, 4, 8, 8), INDICES | {"weights": (4,)})),
    "PAD": chain(("PAD", (1, 10, 11, 4), INDICES | {"weights": (4, 2)})),
    "CONCATENATION": pair("CONCATENATION", IMAGE, (1, 8, 8, 2), (1, 8, 8, 6)),
    "RESIZE_NEAREST_NEIGHBOR": chain(("RESIZE_NEAREST_NEIGHBOR", (1, 16, 16, 4), INDICES)),
    "RESIZE_BILINEAR": chain(("RESIZE_BILINEAR", (1, 16, 16, 4), INDICES)),
    "STRIDED_SLICE": chain(("STRIDED_SLICE", (1, 7, 8, 4), INDICES | {"weights": (4,)})),
    "GATHER that turns an axis": chain(("GATHER", IMAGE, INDICES | {"weights": (8,)})),
    "GATHER": Program(
        (Tensor((1, 6), "int32"), Tensor((1, 6, 4))),
        (Operator("GATHER", (0,), (1,), (128, 4)),),
        (0,),
        (1,),
    ),
    "UNPACK": parts("UNPACK", (2, 4), [(4,), (4,)]),
    "SPLIT": parts("SPLIT", (1, 6), [(1, 3), (1, 3)], weights=(1,), weight_dtype="int32"),
    "PACK": pair("PACK", (1, 6), (1, 6), (2, 1, 6)),
    "BATCH_MATMUL": pair("BATCH_MATMUL", (1, 2, 6, 3), (1, 2, 3, 5), (1, 2, 6, 5)),
    "SQUARED_DIFFERENCE": pair("SQUARED_DIFFERENCE", IMAGE, (1, 8, 8, 1), IMAGE),
    "SELECT_V2": chain(
        ("SELECT_V2", (1, 6, 6), {"weights": (1, 6, 6), "weight_dtype": "bool"}),
        shape=(1, 6, 6),
    ),
    "RSQRT": chain(("ADD", IMAGE, {"weights": (1,)}), ("RSQRT", IMAGE, {})),
    "DEPTHWISE_CONV_2D with gaps": chain(
        ("DEPTHWISE_CONV_2D", (1, 4, 4, 4), DEPTHWISE | GAPS | {"weights": (1, 3, 3, 4)})
    ),
    "CONV_2D with gaps": chain(
        ("CONV_2D", IMAGE, {"weights": (4, 3, 3, 4), "window": (3, 3)} | ONE_WAY)
    ),
    "SOFTMAX": chain(("SOFTMAX", (1, 9), {}), shape=(1, 9)),
    **{op: chain((op, IMAGE, {})) for op in ELEMENTWISE},
    "QUANTIZE": chain(("QUANTIZE", IMAGE, {})),
    "DEQUANTIZE": Program(
        (Tensor(IMAGE), Tensor(IMAGE, "float32")),
        (Operator("DEQUANTIZE", (0,), (1,)),),
        (0,),
        (1,),
    ),
}
NOT_IN_MICRO = {"GELU"}


def parsed(content):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))


def run(content, seed=0):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(seed)
    for details in interpreter.get_input_details():
        low = -128 if details["dtype"] == np.int8 else 0
        values = rng.integers(low, 128, details["shape"])
        interpreter.set_tensor(details["index"], values.astype(details["dtype"]))
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    return interpreter.get_tensor(output["index"])


def test_every_operator_it_offers_is_tried_here():
    assert {name.split()[0] for name in PROGRAMS} == set(synthesis.OPERATORS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_file_holds_the_program_and_runs_in_litert(name, capfd):
    program = PROGRAMS[name]
    content = synthesis.file(program)
    assert flatbuffer.read(content)._replace(constants=None) == program
    output = run(content)
    written = program.tensors[program.outputs[0]]
    assert (output.shape, output.dtype) == (written.shape, written.dtype)
    assert len(np.unique(output)) > 2


@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - NOT_IN_MICRO))
def test_tensorflow_lite_micro_runs_every_operator_too(name):
    pytest.importorskip("tflite_micro", reason="needs the extra micro")
    from edge_devices import tflm

    assert tflm.refusal(synthesis.file(PROGRAMS[name])) is None


@pytest.mark.parametrize(
    ("dtype", "weight_dtype"),
    [("int8", "int8"), ("int8", "int4"), ("float32", "float32"), ("int16", "int8")],
)
def test_it_writes_other_types(dtype, weight_dtype):
    program = classifier(dtype, weight_dtype)
    content = synthesis.file(program)
    assert flatbuffer.read(content)._replace(constants=None) == program
    output = run(content)
    assert output.dtype == dtype
    assert len(np.unique(output)) > 2


def test_half_as_many_bits_take_half_the_bytes():
    wide, narrow = (classifier(weight_dtype=kind) for kind in ("int8", "int4"))
    saved = len(synthesis.file(wide)) - len(synthesis.file(narrow))
    weights = sum(operator.weight_bytes for operator in wide.operators if operator.bias)
    assert abs(saved - weights / 2) < 32  # alignment


def test_a_convolution_without_biases_gets_zeros_as_the_interpreter_wants_them():
    content = synthesis.file(chain(("CONV_2D", IMAGE, CONV)))
    (operator,) = flatbuffer.read(content).operators
    assert operator.bias
    model = parsed(content)
    bias = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[2]]
    assert not model.buffers[bias.buffer].data.any()
    assert len(np.unique(run(content))) > 2


def test_equal_seeds_give_equal_bytes_and_others_other_weights():
    program = classifier()
    assert synthesis.file(program, seed=3) == synthesis.file(program, seed=3)
    assert synthesis.file(program, seed=3) != synthesis.file(program, seed=4)


def test_weights_fill_the_range_of_every_channel_and_are_symmetric():
    model = parsed(synthesis.file(classifier()))
    (graph,) = model.subgraphs
    for operator, axis in zip([graph.operators[i] for i in (0, 1, 3)], (0, 3, 0), strict=True):
        weights, bias = (graph.tensors[index] for index in operator.inputs[1:3])
        values = model.buffers[weights.buffer].data.view(np.int8).reshape(weights.shape)
        others = tuple(set(range(values.ndim)) - {axis})
        np.testing.assert_array_equal(np.abs(values).max(axis=others), 127)
        channels = values.shape[axis]
        assert weights.quantization.quantizedDimension == axis
        assert not weights.quantization.zeroPoint.any()
        assert len(weights.quantization.scale) == channels
        source = graph.tensors[operator.inputs[0]].quantization.scale[0]
        np.testing.assert_allclose(
            bias.quantization.scale, source * weights.quantization.scale, rtol=1e-6
        )


def test_operators_that_only_move_values_keep_the_scale():
    for name in ("MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE", "PAD", "CONCATENATION"):
        (graph,) = parsed(synthesis.file(PROGRAMS[name])).subgraphs
        (operator,) = graph.operators
        ends = [*operator.inputs[:1], *operator.outputs]
        scales = {float(graph.tensors[index].quantization.scale[0]) for index in ends}
        assert len(scales) == 1, name


@pytest.mark.parametrize(
    ("op", "scale", "zero_point"),
    [("LOGISTIC", 1 / 256, -128), ("SOFTMAX", 1 / 256, -128), ("TANH", 1 / 128, 0)],
)
def test_prescribed_output_scales_are_kept(op, scale, zero_point):
    (graph,) = parsed(synthesis.file(PROGRAMS[op])).subgraphs
    parameters = graph.tensors[graph.outputs[0]].quantization
    assert (parameters.scale[0], parameters.zeroPoint[0]) == (scale, zero_point)


def test_activations_neither_vanish_nor_saturate():
    interpreter = Interpreter(
        model_content=host.reference(),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    values = np.random.default_rng(0).integers(-128, 128, source["shape"])
    interpreter.set_tensor(source["index"], values.astype("int8"))
    interpreter.invoke()
    program = flatbuffer.read(host.reference())
    for index in range(len(program.tensors)):
        tensor = interpreter.get_tensor(index).astype(int)
        assert tensor.std() > 3
        assert np.mean(tensor == 127) < 0.2
    assert len(program.tensors) == 18


def test_weights_are_aligned():
    model = schema.Model.GetRootAs(synthesis.file(classifier()))
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert len(starts) == 7
    assert not any(start % 16 for start in starts)


def test_the_signature_names_inputs_and_outputs():
    interpreter = Interpreter(model_content=synthesis.file(PROGRAMS["ADD"]))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["input", "input_1"], "outputs": ["output"]}
    }


def test_an_operator_it_cannot_write_is_named():
    program = chain(("CONV_2D", IMAGE, CONV), ("CONV_3D", IMAGE, {}), ("SVDF", IMAGE, {}))
    with pytest.raises(ValueError, match=r"Received: CONV_3D, SVDF\. Known: CONV_2D, "):
        synthesis.file(program)


def test_a_type_it_cannot_write_is_named():
    with pytest.raises(ValueError, match=r"int8, int16 or float32, .* Received: int64"):
        synthesis.file(chain(("RELU", IMAGE, {}), dtype="int64"))


def test_weights_must_be_constants():
    with pytest.raises(ValueError, match="Received: FULLY_CONNECTED without"):
        synthesis.file(chain(("FULLY_CONNECTED", (1, 2), {}), shape=(1, 2)))


def test_a_type_of_weights_it_cannot_write_is_named():
    with pytest.raises(ValueError, match="Received: CONV_2D with weights of float16"):
        synthesis.file(classifier(weight_dtype="float16"))


def test_shapes_must_be_those_that_the_windows_give():
    for padding, side in (("SAME", 7), ("VALID", 8)):
        settings = DEPTHWISE | {"padding": padding}
        with pytest.raises(ValueError, match=rf"Received: DEPTHWISE.*to \(1, {side}"):
            synthesis.file(chain(("DEPTHWISE_CONV_2D", (1, side, 8, 8), settings)))


@pytest.mark.slow
def test_compilers_and_interpreters_see_no_difference_to_the_converted_network():
    """The same cycles, memory and arena, from the description alone."""
    npu = pytest.importorskip("edge_devices.npu")
    pytest.importorskip("ethosu", reason="needs the extra npu")
    pytest.importorskip("tflite_micro", reason="needs the extra micro")
    import search_spaces
    import tflite_export
    from edge_devices import tflm
    from kerasnas.oracles.decisions import Decisions
    from search_spaces.costs import program as described
    from search_spaces.realise import realise

    for seed, shape in enumerate([(8, 8, 1), (28, 28, 1), (32, 32, 3), (48, 48, 3)]):
        rng = np.random.default_rng(seed)
        space = search_spaces.MobileNet(shape, 10)
        decisions = Decisions(space.hyperparameters())
        network = space.network(decisions.values(decisions.sample(rng, 1)[0]))
        model = realise(network)
        model.set_weights(
            [
                rng.uniform(0.5, 1.5, w.shape)
                if "variance" in w.path or "gamma" in w.path
                else rng.normal(0.0, 0.3, w.shape)
                for w in model.weights
            ]
        )
        samples = rng.uniform(0, 255, (8, *shape)).astype("float32")
        converted = tflite_export.convert(model, "int8", samples)
        made = synthesis.file(described(network))
        assert flatbuffer.read(made) == flatbuffer.read(converted)
        assert tflm.arena(made) == tflm.arena(converted)
        assert len(made) == pytest.approx(len(converted), rel=0.03)
        for accelerator in ("ethos-u55-128", "ethos-u85-256"):
            real, ours = (
                npu.npu(content, accelerator, cpu_operators=True)
                for content in (converted, made)
            )
            assert ours.cycles == pytest.approx(real.cycles, rel=0.001)
            assert ours.sram_bytes == real.sram_bytes
            assert ours.macs == real.macs
            assert ours.flash_bytes == pytest.approx(real.flash_bytes, rel=0.01)
