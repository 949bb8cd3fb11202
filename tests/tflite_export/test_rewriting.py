import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflite_export
from tflite_export.compaction import packed, unpacked
from tflite_export.conversion import float_file
from tflite_export.inspection import floating_operators, operators_in
from tflite_export.ranges import measure
from tflite_export.rewriting import masks, named, settled, widened


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


def masked():
    x = keras.Input((6, 8))
    attend = keras.layers.MultiHeadAttention(2, 4, seed=0)
    return keras.Model(x, attend(x, x, use_causal_mask=True))


def test_masked_scores_are_just_below_the_others_and_count_for_nothing():
    content = float_file(masked(), integer=True)
    x = np.random.default_rng(0).normal(size=(16, 6, 8)).astype(np.float32)
    ranges = measure(content, x)
    (mask,) = (o.name for o in operators_in(content) if o.op == "SELECT_V2")
    assert ranges[mask][0] < -1e30
    other, changed = masks(content, ranges)
    assert list(changed) == [mask]
    assert measure(other, x)[mask] == pytest.approx(changed[mask], rel=0.05)
    scores = changed[mask][1] - changed[mask][0]
    assert 10 < scores < 30
    np.testing.assert_allclose(
        tflite_export.run(other, x), tflite_export.run(content, x), atol=1e-3
    )


def test_each_mask_lies_below_its_own_scores():
    # The converter shares the constant of all masks.
    x = keras.Input((6, 8))
    wide, narrow = (keras.layers.MultiHeadAttention(1, 8, seed=0) for _ in range(2))
    y = wide(30 * x, 30 * x, use_causal_mask=True)
    model = keras.Model(x, narrow(y / 30, y / 30, use_causal_mask=True))
    content = float_file(model, integer=True)
    samples = np.random.default_rng(0).normal(size=(16, 6, 8)).astype(np.float32)
    other, changed = masks(content, measure(content, samples))
    low = sorted(low for low, _ in changed.values())
    assert low[0] < 2 * low[1]
    found = measure(other, samples)
    for name, range_ in changed.items():
        assert found[name] == pytest.approx(range_, rel=0.05)


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


def test_a_file_without_masks_is_left_as_it_is(model, x):
    content = float_file(model)
    assert masks(content, measure(content, x)) == (content, {})


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
