import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import tflite_export
from tflite_export.conversion import float_file
from tflite_export.inspection import floating_operators, operators_in, precisions
from tflite_export.quantization import quantize

layers = keras.layers


@pytest.fixture(scope="module")
def floats(model):
    return float_file(model, integer=True)


@pytest.fixture(scope="module")
def expected(floats, x):
    return tflite_export.run(floats, x)


def error(content, x, expected):
    """Mean error in standard deviations of the output."""
    return np.abs(tflite_export.run(content, x) - expected).mean() / expected.std()


def dtypes_of_weights(content):
    """Type and number of scales of the constants of convolutions and dense layers."""
    interpreter = Interpreter(model_content=content)
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    return {
        (operator["op_name"], np.dtype(weights["dtype"]).name, len(scales))
        for operator in interpreter._get_ops_details()
        if operator["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        for weights in [details[operator["inputs"][1]]]
        for scales in [weights["quantization_parameters"]["scales"]]
    }


@pytest.mark.parametrize(
    ("quantization", "activations", "ends", "tolerance"),
    [
        ("float32", {"float32"}, "float32", 0),
        ("float16", {"float32"}, "float32", 0.02),
        ("dynamic", {"float32"}, "float32", 0.15),
        ("int8", {"int8"}, "int8", 0.15),
        ("int16x8", {"int16x8"}, "int16", 0.15),
        ("int4", {"int8", "int4"}, "int8", 1),
    ],
)
def test_activations_and_ends_are_in_the_precision_asked_for(
    floats, x, expected, quantization, activations, ends, tolerance
):
    content = quantize(floats, quantization, x)
    assert set(precisions(content).values()) == activations
    file = tflite_export.TFLiteModel(content)
    assert file.input.dtype == file.output.dtype == ends
    assert error(content, x, expected) <= tolerance


def test_more_bits_are_more_exact(floats, x, expected):
    errors = [error(quantize(floats, q, x), x, expected) for q in ("int4", "int8", "int16x8")]
    assert errors == sorted(errors, reverse=True)


def test_int8_has_a_scale_for_each_channel_of_weights(floats, x):
    assert dtypes_of_weights(quantize(floats, "int8", x)) == {
        ("CONV_2D", "int8", 8),
        ("CONV_2D", "int8", 4),
        ("DEPTHWISE_CONV_2D", "int8", 8),
        ("FULLY_CONNECTED", "int8", 3),
    }


def test_int4_files_are_smaller_and_their_dense_layers_have_one_scale(floats, x):
    # The runtime shows 4-bit weights as int8.
    narrow = quantize(floats, "int4", x)
    (dense,) = (
        scales for op, _, scales in dtypes_of_weights(narrow) if op.startswith("FULLY")
    )
    assert dense == 1
    assert len(narrow) < len(quantize(floats, "int8", x))


def test_single_operators_have_the_precision_they_are_given(floats, x):
    convolutions = [o.name for o in operators_in(floats) if o.op == "CONV_2D"]
    mixed = dict(zip(convolutions, ("float32", "int16x8", "int4"), strict=False))
    content = quantize(floats, "int8", x, mixed=mixed)
    assert {k: v for k, v in precisions(content).items() if v != "int8"} == mixed
    assert {"QUANTIZE", "DEQUANTIZE"} <= set(tflite_export.operators(content))


def test_a_float_file_can_have_one_integer_operator(floats, x):
    name = operators_in(floats)[2].name
    content = quantize(floats, "float32", x, mixed={name: "int8"})
    assert {k for k, v in precisions(content).items() if v == "int8"} == {name}


def test_hard_swish_has_a_form_in_16_bits(x):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Activation("hard_swish")]
    )
    floats = float_file(model)
    assert "HARD_SWISH" in tflite_export.operators(floats)
    content = quantize(floats, "int16x8", 6 * x - 3)
    assert not floating_operators(content)
    assert error(content, 6 * x - 3, tflite_export.run(floats, 6 * x - 3)) < 0.01
    name = next(o.name for o in operators_in(floats) if o.op == "HARD_SWISH")
    alone = quantize(floats, "int8", x, mixed={name: "int16x8"})
    assert tflite_export.operators(alone)["ADD"] == 1
    assert not floating_operators(alone)


@pytest.mark.parametrize("quantization", ["int8", "int16x8"])
@pytest.mark.parametrize("dead", ["activation", "weights"])
def test_biases_are_exact_behind_what_is_always_zero(x, quantization, dead):
    # Steps of products are tiny there, and a bias is a number of such steps.
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(3, 3)]
    )
    first, second = model.layers
    kernel, bias = first.get_weights()
    if dead == "activation":
        first.set_weights([-abs(kernel), bias + 0.001])
        second.set_weights([second.get_weights()[0], np.array([3.0, -3.0, 1.0])])
    else:
        kernel[..., 0] = 0
        first.set_weights([kernel, np.array([3.0, 0.1, 0.2, 0.3])])
    floats = float_file(model)
    content = quantize(floats, quantization, x)
    expected = tflite_export.run(floats, x)
    assert (
        np.abs(tflite_export.run(content, x) - expected).max() < 0.02 * np.abs(expected).max()
    )


def test_ranges_can_be_given_instead_of_data(floats, x):
    from tflite_export.ranges import measure

    ranges = measure(floats, x)
    assert quantize(floats, "int8", ranges=ranges) == quantize(floats, "int8", x)
    halved = {name: (low / 2, high / 2) for name, (low, high) in ranges.items()}
    file = tflite_export.TFLiteModel(quantize(floats, "int8", ranges=halved))
    assert file.input.scale == pytest.approx(0.5 / 255, rel=0.01)


def test_equal_arguments_give_equal_bytes_and_the_float_file_is_left_alone(floats, x):
    before = bytes(bytearray(floats))
    assert quantize(floats, "int8", x) == quantize(floats, "int8", x)
    assert floats == before


def test_files_without_names_are_given_some(floats, x, expected):
    bare = tflite_export.compact(floats)
    assert error(quantize(bare, "int8", x), x, expected) < 0.15


def test_nothing_is_printed(floats, x, capfd):
    quantize(floats, "int8", x)
    assert capfd.readouterr() == ("", "")


class TestRefuses:
    def test_unknown_quantizations_naming_the_nearest(self, floats):
        with pytest.raises(ValueError, match=r"Received: .*'16x8'.*Did you mean 'int16x8'"):
            quantize(floats, "16x8")

    def test_integers_without_data(self, floats):
        with pytest.raises(ValueError, match=r"Received: calibration=None.*100"):
            quantize(floats, "int8")

    def test_data_of_another_shape(self, floats):
        with pytest.raises(ValueError, match=r"calibration does not fit.*\('n', 9, 9, 1\)"):
            quantize(floats, "int8", np.zeros((3, 9, 9, 1)))

    def test_operators_that_are_not_there(self, floats, x):
        with pytest.raises(ValueError, match=r"Received: mixed=\{'nothing'.*Did you mean"):
            quantize(floats, "int8", x, mixed={"nothing": "float32"})

    @pytest.mark.parametrize(
        ("quantization", "precision"), [("int8", "dynamic"), ("dynamic", "int8")]
    )
    def test_precisions_that_cannot_be_mixed(self, floats, x, quantization, precision):
        name = operators_in(floats)[0].name
        with pytest.raises(ValueError, match=rf"Received: .*{precision}"):
            quantize(floats, quantization, x, mixed={name: precision})


@pytest.mark.parametrize("quantization", ["int8", "int16x8", "int4", "mixed"])
def test_tensorflow_lite_micro_computes_the_same(floats, x, tmp_path, quantization):
    reason = "needs the extra `micro`: pip install kerasnas[micro]"
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason=reason)
    mixed = None
    if quantization == "mixed":
        name = next(o.name for o in operators_in(floats) if o.op == "DEPTHWISE_CONV_2D")
        quantization, mixed = "int8", {name: "int16x8"}
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite_export.compact(quantize(floats, quantization, x, mixed=mixed)))
    micro = runtime.Interpreter.from_file(str(path), arena_size=1 << 20)
    # Its reference kernels, which round as those for microcontrollers do.
    lite = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    lite.allocate_tensors()
    (source,), (target,) = lite.get_input_details(), lite.get_output_details()
    scale, zero_point = source["quantization"]
    limit = np.iinfo(source["dtype"]).max
    for example in x[:10]:
        steps = np.clip(np.rint(example[None] / scale) + zero_point, -limit - 1, limit)
        steps = steps.astype(source["dtype"])
        micro.set_input(steps, 0)
        micro.invoke()
        lite.set_tensor(source["index"], steps)
        lite.invoke()
        expected = lite.get_tensor(target["index"]).astype(int)
        difference = np.abs(micro.get_output(0).astype(int) - expected).max()
        assert difference <= 0.02 * limit


def test_weights_of_large_files_are_inside_of_the_flatbuffer():
    # The quantizer alone would put them behind it, where microcontrollers do not look.
    model = keras.Sequential([keras.Input((1024,)), layers.Dense(1024)])
    x = np.random.default_rng(0).random((8, 1024), dtype=np.float32)
    floats = float_file(model)
    content = quantize(floats, "int8", x)
    file = schema.Model.GetRootAs(content)
    assert not any(file.Buffers(index).Size() for index in range(file.BuffersLength()))
    assert len(content) == pytest.approx(2**20, rel=0.05)
    assert error(content, x, tflite_export.run(floats, x)) < 0.05


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("bias", [2e-6, 1e-5])
def test_a_branch_that_hardly_leaves_zero_runs(bias, summed):
    inputs = keras.Input((4, 4, 2))
    x = layers.ReLU()(layers.Rescaling(0.0)(inputs))
    weights = keras.initializers.RandomUniform(-1, 1, seed=0)
    faint = keras.initializers.Constant(bias)
    x = layers.Conv2D(4, 3, kernel_initializer=weights, bias_initializer=faint)(x)
    if summed:
        x = layers.Add()([x, layers.Conv2D(4, 3)(inputs)])
    model = keras.Model(inputs, x)
    samples = np.random.default_rng(0).normal(size=(8, 4, 4, 2)).astype("float32")
    content = tflite_export.convert(model, "int8", samples)
    found = tflite_export.TFLiteModel(content).predict(samples)
    np.testing.assert_allclose(found, np.asarray(model(samples)), atol=0.1)


def test_the_input_is_in_float_where_nothing_else_reads_it(floats, x):
    first, second, *_ = (operator.name for operator in operators_in(floats))
    for mixed, dtype in (({first: "float32"}, "float32"), ({second: "float32"}, "int8")):
        file = tflite_export.TFLiteModel(quantize(floats, "int8", x, mixed=mixed))
        assert (file.input.dtype, file.output.dtype) == (dtype, "int8")
