import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflite_export


@pytest.fixture(scope="module")
def original(model, x):
    return tflite_export.convert(model, "int8", x, compact=False)


def test_a_compact_file_computes_the_same(original, x):
    compact = tflite_export.compact(original)
    np.testing.assert_array_equal(
        tflite_export.run(compact, x), tflite_export.run(original, x)
    )
    assert tflite_export.operators(compact) == tflite_export.operators(original)
    assert tflite_export.tensor_dtypes(compact) == tflite_export.tensor_dtypes(original)


def test_it_is_much_smaller_and_what_convert_returns(original, content):
    compact = tflite_export.compact(original)
    assert len(compact) < 0.75 * len(original)
    assert compact == content == tflite_export.compact(compact)


def test_weights_stay_aligned(content):
    model = schema.Model.GetRootAs(content)
    starts = [
        buffer._tab.Vector(buffer._tab.Offset(4))
        for buffer in map(model.Buffers, range(model.BuffersLength()))
        if buffer.DataLength()
    ]
    assert len(starts) > 10
    assert not any(start % 16 for start in starts)


def test_inputs_and_outputs_keep_their_names(original, content):
    before, after = tflite_export.TFLiteModel(original), tflite_export.TFLiteModel(content)
    assert "image" in before.input.name
    assert (before.input, before.output) == (after.input, after.output)
