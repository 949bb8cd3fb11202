import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edge_devices import host, isolation, synthesis, tflm
from edge_devices.program import Operator, Program, Tensor
from edge_devices.tflm import TFLMModel, arena, compare_interpreters, refusal

pytest.importorskip("tflite_micro", reason="needs the extra micro")


def dense(outputs=5, dtype="int8", weight_dtype="int8", after=None):
    """A dense layer on six numbers, perhaps with another operator after it."""
    weights = {"weights": (outputs, 6), "bias": True, "weight_dtype": weight_dtype}
    operators = [Operator("FULLY_CONNECTED", (0,), (1,), **weights)]
    tensors = [Tensor((1, 6), dtype), Tensor((1, outputs), dtype)]
    if after:
        operators.append(Operator(after, (1,), (2,)))
        tensors.append(Tensor((1, outputs), dtype))
    end = (len(tensors) - 1,)
    return synthesis.file(Program(tuple(tensors), tuple(operators), (0,), end))


@pytest.fixture
def x():
    return np.random.default_rng(0).random((70, 6), dtype=np.float32)


def litert(content, x, resolver=OpResolverType.AUTO):
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for example in x:
        scale, zero_point = source["quantization"]
        steps = np.clip(np.round(example / np.float32(scale)) + zero_point, -128, 127)
        interpreter.set_tensor(source["index"], steps[None].astype(np.int8))
        interpreter.invoke()
        scale, zero_point = target["quantization"]
        results.append((interpreter.get_tensor(target["index"])[0] - zero_point) * scale)
    return np.array(results)


def test_it_computes_what_the_reference_kernels_of_litert_compute(x):
    content = dense()
    model = TFLMModel(content)
    ours = model.predict(x)
    theirs = litert(content, x, OpResolverType.BUILTIN_REF)
    assert (ours.shape, ours.dtype) == ((70, 5), np.float32)
    np.testing.assert_allclose(ours, theirs, atol=1.01 * model.output.scale)
    assert ours.std(axis=0).min() > model.output.scale


def test_portable_kernels_agree_to_a_step(x):
    agreement = compare_interpreters(dense(), x, portable=True)
    assert agreement.largest_difference <= 1
    assert agreement.same_class > 0.95


def test_real_numbers_go_in_and_out_of_float_files_as_they_are(x):
    model = TFLMModel(dense(dtype="float32", weight_dtype="float32"))
    assert model.input == ((1, 6), "float32", None, None)
    assert compare_interpreters(dense(dtype="float32", weight_dtype="float32"), x) == (
        1.0,
        pytest.approx(0.0, abs=1e-5),
        70,
    )
    halves = model.predict(x / 2), model.predict(x)
    assert not np.array_equal(*halves)


def test_inputs_beyond_the_range_are_clipped(x):
    model = TFLMModel(dense())
    np.testing.assert_array_equal(
        model.predict(np.full((1, 6), 1e6)), model.predict(np.full((1, 6), 1.0))
    )


def test_no_examples_give_no_results():
    assert TFLMModel(dense()).predict(np.empty((0, 6))).shape == (0, 5)


def test_examples_of_another_shape_are_refused(x):
    with pytest.raises(ValueError, match=r"shape \('n', 6\). Received: shape \(6,\)"):
        TFLMModel(dense()).predict(x[0])


def test_a_path_does_as_well(tmp_path, x):
    (tmp_path / "net.tflite").write_bytes(dense())
    np.testing.assert_array_equal(
        TFLMModel(tmp_path / "net.tflite").predict(x), TFLMModel(dense()).predict(x)
    )


def test_the_arena_holds_the_activations_that_live_together():
    # 48 x 48 x 16 in and out of the first depthwise convolution, then the 1 x 1 after it.
    found = arena(host.reference())
    assert found.activations == 48 * 48 * (16 + 32)
    assert found.total == found.activations + found.persistent
    assert 0 < sum(found.parts.values()) <= found.persistent
    assert arena(host.reference()) == found


def test_more_channels_take_more_of_the_persistent_part():
    few, many = arena(dense(8)), arena(dense(64))
    # A multiplier and a shift a channel, four bytes each.
    assert many.persistent - few.persistent == pytest.approx(2 * 4 * (64 - 8), abs=16)


def test_the_share_of_equal_classes_and_the_largest_step_are_counted(x):
    content = dense()
    found = compare_interpreters(content, x)
    model = TFLMModel(content)
    ours, theirs = model.predict(x), litert(content, x)
    steps = np.round((ours - theirs) / model.output.scale)
    assert found.largest_difference == np.abs(steps).max() <= 2
    assert found.same_class == np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1))
    assert found.examples == 70


@pytest.mark.parametrize(("after", "middle"), [(None, 0.0), ("LOGISTIC", 0.5)])
def test_a_single_output_has_two_classes(after, middle, x):
    port = TFLMModel(dense(1, after=after)).output
    raw = np.array([[-100], [-1], [1], [100]], np.int8)
    expected = port.real(raw)[:, 0] > middle
    np.testing.assert_array_equal(tflm._classes(raw, port), expected)
    assert compare_interpreters(dense(1, after=after), x).same_class > 0.9


def test_comparing_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one example"):
        compare_interpreters(dense(), np.empty((0, 6)))


def test_a_file_it_runs_is_not_refused():
    assert refusal(dense()) is None


def test_an_operator_it_lacks_is_named():
    content = dense(after="GELU")
    assert litert(content, np.zeros((1, 6))).shape == (1, 5)
    said = refusal(content)
    assert "does not run this file. Received: a file of" in said
    assert "GELU" in said
    with pytest.raises(ValueError, match="GELU"):
        TFLMModel(content)


def test_integer_weights_with_float_arithmetic_are_refused():
    tensors = (Tensor((1, 6), "float32"), Tensor((1, 5), "float32"))
    operator = Operator("FULLY_CONNECTED", (0,), (1,), weights=(5, 6), weight_dtype="int8")
    content = synthesis.file(Program(tensors, (operator,), (0,), (1,)))
    assert "FLOAT32 with filter type: INT8 not supported" in refusal(content)


def test_weights_behind_the_flatbuffer_are_refused_as_it_would_not_find_them(x):
    """Some quantizers write large files so; it would compute with garbage."""
    content = dense()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    buffer = max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))
    moved = bytes(buffer.data)
    buffer.data, buffer.offset, buffer.size = None, 1, len(moved)
    buffer.offset = -(-len(packed(model)) // 16) * 16
    outside = packed(model).ljust(buffer.offset, b"\0") + moved
    np.testing.assert_array_equal(litert(outside, x), litert(content, x))
    assert "with 1 tensors stored behind it" in refusal(outside)


def packed(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_a_damaged_file_is_an_error_and_not_the_end():
    content = host.reference()
    damaged = content[:40_000]
    assert "file of 40,000 bytes" in refusal(damaged)
    assert refusal(content) is None


def test_what_is_no_tflite_file_is_refused():
    with pytest.raises(ValueError, match=r"not a \.tflite file. Received: 13 bytes"):
        arena(b"hello, world!")


def test_files_of_several_inputs_take_them_by_name():
    tensors = tuple(Tensor((1, 4, 4, 2)) for _ in range(3))
    content = synthesis.file(Program(tensors, (Operator("SUB", (0, 1), (2,)),), (0, 1), (2,)))
    assert arena(content).activations == 3 * 32
    model = TFLMModel(content)
    assert list(model.inputs) == ["input", "input_1"]
    rng = np.random.default_rng(0)
    x = {name: rng.uniform(0, 1, (3, 4, 4, 2)) for name in model.inputs}
    steps = [port.real(port.quantized(x[name])) for name, port in model.inputs.items()]
    limits = model.output.real(np.array([-128, 127]))
    expected = np.clip(steps[0] - steps[1], *limits)
    np.testing.assert_allclose(model.predict(x), expected, atol=1.01 * model.output.scale)
    assert compare_interpreters(content, x, portable=True).largest_difference <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x["input"], "2 inputs, and takes an array for each by name"),
        (lambda x: {"input": x["input"]}, "'input', 'input_1'. Received: 'input'"),
        (lambda x: {**x, "input_1": x["input"][1:]}, "all inputs. Received: 2 of 'input'"),
        (lambda x: {**x, "input_1": x["input"][..., 0]}, "'input_1' must have shape"),
    ],
)
def test_inputs_that_do_not_fit_a_file_of_several_are_refused(change, message):
    tensors = tuple(Tensor((1, 4, 4, 2)) for _ in range(3))
    content = synthesis.file(Program(tensors, (Operator("ADD", (0, 1), (2,)),), (0, 1), (2,)))
    x = {name: np.zeros((2, 4, 4, 2)) for name in ("input", "input_1")}
    with pytest.raises(ValueError, match=message):
        TFLMModel(content).predict(change(x))


def test_a_file_of_several_outputs_is_not_run():
    tensors = tuple(Tensor((1, 4, 4, 2)) for _ in range(3))
    operators = (Operator("RELU", (0,), (1,)), Operator("RELU", (0,), (2,)))
    content = synthesis.file(Program(tensors, operators, (0,), (1, 2)))
    with pytest.raises(ValueError, match="several outputs"):
        TFLMModel(content)


def test_without_the_extra_the_pip_line_is_given(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'kerasnas\[micro\]'"):
        arena(dense())


def test_nothing_is_printed_and_a_crash_names_it(capfd, monkeypatch):
    arena(dense())
    refusal(dense(after="GELU"))
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(tflm, "_allocations", _crash)
    with pytest.raises(isolation.Crash, match=r"Micro measured the arena of a file.*SIGABRT"):
        arena(dense())


def _crash(content):
    import os

    os.abort()
