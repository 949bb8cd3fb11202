import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflite_export
from tflite_export.compaction import packed, unpacked
from tflite_export.conversion import float_file
from tflite_export.inspection import floating_operators, operators_in
from tflite_export.ranges import measure
from tflite_export.rewriting import named, settled, widened


def test_a_file_with_names_is_left_as_it_is(model):
    content = float_file(model)
    assert named(content) is content


def test_a_file_without_names_gets_one_for_each_tensor(model, x):
    bare = tflite_export.compact(float_file(model))
    content = named(bare)
    names = [name for o in operators_in(content) for name in (*o.outputs, *o.constants)]
    assert "" not in names
    assert len({operator.name for operator in operators_in(content)}) == len(
        operators_in(content)
    )
    assert named(content) is content
    np.testing.assert_array_equal(tflite_export.run(content, x), tflite_export.run(bare, x))


def test_a_hard_swish_in_other_words_is_the_same_and_keeps_its_name(x):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, activation="hard_swish")]
    )
    content = float_file(model)
    (swish,) = (o.name for o in operators_in(content) if o.op == "HARD_SWISH")
    wide, added = widened(content, [swish])
    assert "HARD_SWISH" not in tflite_export.operators(wide)
    inputs = 8 * x - 4
    np.testing.assert_allclose(
        tflite_export.run(wide, inputs), tflite_export.run(content, inputs), atol=1e-6
    )
    assert [o.name for o in operators_in(wide)][1:] == [*added, swish]
    ranges = measure(wide, inputs)
    for name, (origin, (low, high)) in added.items():
        assert origin == swish
        assert low <= ranges[name][0] <= ranges[name][1] <= high


def test_what_is_not_asked_for_is_left(model):
    content = float_file(model)
    again, added = widened(content, [operators_in(content)[0].name])
    assert added == {}
    assert tflite_export.operators(again) == tflite_export.operators(content)
    assert widened(content, [])[0] is content


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_dilated_convolutions_of_one_input_stay_convolutions(padding):
    x = keras.Input((9, 8, 2))
    y = keras.layers.Conv2D(4, 3, dilation_rate=2, padding=padding)(x)
    z = keras.layers.DepthwiseConv2D(3, dilation_rate=2, padding=padding)(x)
    z = keras.layers.Conv2D(4, 1)(keras.layers.BatchNormalization()(z))
    model = keras.Model(x, keras.layers.Add()([y, z]))
    content = float_file(model, integer=True)
    assert tflite_export.operators(content) == {
        "CONV_2D": 2,
        "DEPTHWISE_CONV_2D": 1,
        "ADD": 1,
    }
    samples = np.random.default_rng(0).normal(size=(4, 9, 8, 2)).astype(np.float32)
    np.testing.assert_allclose(
        tflite_export.run(content, samples), np.asarray(model(samples)), atol=1e-5
    )


def test_what_nothing_reads_of_a_split_gets_the_type_of_the_rest():
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.LSTM(2)])
    x = np.random.default_rng(0).normal(size=(16, 4, 3)).astype(np.float32)
    content = tflite_export.convert(model, "int8", x)
    assert settled(content) is content
    broken = unpacked(content)
    (code,) = (
        index
        for index, entry in enumerate(broken.operatorCodes)
        if entry.builtinCode == schema.BuiltinOperator.SPLIT
    )
    first = next(o for o in broken.subgraphs[0].operators if o.opcodeIndex == code)
    read = {i for o in broken.subgraphs[0].operators for i in o.inputs}
    (unread,) = (i for i in first.outputs if i not in read)  # the first step forgets nothing
    tensor = broken.subgraphs[0].tensors[unread]
    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    floating = packed(broken)
    assert [o.name for o in floating_operators(floating)] == ["SPLIT"]
    mended = settled(floating)
    assert floating_operators(mended) == []
    np.testing.assert_array_equal(tflite_export.run(mended, x), tflite_export.run(content, x))


class Chosen(keras.layers.Layer):
    """Looks tokens up, those below a number moved first."""

    def __init__(self, below, by, **kwargs):
        super().__init__(**kwargs)
        self.below, self.by = below, by
        self.table = keras.layers.Embedding(20, 8, embeddings_initializer="normal")

    def moved(self, x):
        return keras.ops.where(x < self.below, x + self.by, x)

    def call(self, x):
        return self.table(self.moved(x))


class Read(Chosen):
    """Does what an embedding does, and something else with it."""

    def call(self, x):
        tokens = self.moved(x)
        return self.table(tokens) + keras.ops.cast(tokens, "float32")[..., None] / 20


class Constant(Chosen):
    """Looks up what does not depend on the input."""

    def call(self, x):
        return self.table(x) + self.table(keras.ops.convert_to_tensor([-1, 2, -3, 4]))


@pytest.mark.parametrize(
    "layer",
    [
        Chosen(3, 7),  # not what is negative
        Chosen(0, 7),  # not from the end
        Read(0, 20),
        Constant(0, 0),
    ],
)
def test_selections_of_the_model_are_not_taken_for_those_of_embeddings(layer):
    model = keras.Sequential([keras.Input((4,), dtype="int32"), layer])
    low = -layer.by if layer.below == 0 else 0
    x = np.random.default_rng(0).integers(low, 20 - layer.by, (64, 4)).astype(np.int32)
    content = float_file(model, integer=True)
    expected = np.asarray(model(x))
    np.testing.assert_allclose(tflite_export.run(content, x), expected, atol=1e-6)


def test_tokens_that_the_model_moves_are_moved_in_integers_too():
    model = keras.Sequential([keras.Input((4,), dtype="int32"), Chosen(3, 7)])
    x = np.random.default_rng(0).integers(0, 13, (64, 4)).astype(np.int32)
    expected = np.asarray(model(x))
    error = np.abs(expected - tflite_export.run(tflite_export.convert(model, "int8", x), x))
    assert error.max() < 0.02 * np.ptp(expected)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_embeddings_look_tokens_of_any_type_up_at_once(dtype):
    model = keras.Sequential([keras.Input((4,), dtype=dtype), keras.layers.Embedding(20, 8)])
    found = tflite_export.operators(float_file(model, integer=True))
    assert found == ({"CAST": 1} if dtype == "float32" else {}) | {"GATHER": 1}
