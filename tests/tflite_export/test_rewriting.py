import keras
import numpy as np

import tflite_export
from tflite_export.conversion import float_file
from tflite_export.inspection import operators_in
from tflite_export.ranges import measure
from tflite_export.rewriting import named, widened


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
