import keras
import numpy as np
import pytest

import tflite_export
from tflite_export.conversion import float_file
from tflite_export.inspection import operators_in
from tflite_export.masking import masks
from tflite_export.ranges import measure


def masked():
    keras.utils.set_random_seed(0)
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
    keras.utils.set_random_seed(0)
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


def test_a_file_without_masks_is_left_as_it_is(model, x):
    content = float_file(model)
    assert masks(content, measure(content, x)) == (content, {})


def where(condition, x, other):
    return keras.ops.where(condition, x, np.float32(other))


def of(function):
    """A model of a function, inputs for it, and its float file."""
    x = keras.Input((6, 6))
    model = keras.Model(x, keras.layers.Lambda(function, output_shape=(6, 6))(x))
    samples = np.random.default_rng(0).normal(size=(32, 6, 6)).astype(np.float32)
    samples[:, :, 0] = np.abs(samples[:, :, 0])  # a score that is never masked
    return model, samples, float_file(model, integer=True)


CAUSAL = np.tril(np.ones((6, 6), bool))
PRESENT = np.arange(6) < 4


def twice(x):
    return keras.ops.softmax(where(CAUSAL, where(PRESENT, x, -3e38), -1e9))


def moved(x):
    scores = where(CAUSAL, x, -1e9)
    scores = keras.ops.transpose(keras.ops.reshape(scores, (-1, 2, 3, 6)), (0, 2, 1, 3))
    return keras.ops.reshape(keras.ops.softmax(scores), (-1, 6, 6))


def biased(x):
    return keras.ops.softmax(where(CAUSAL, x, -1e30) + keras.ops.abs(x))


def added(x):
    return keras.ops.softmax(x + keras.ops.where(x > 0, 0.0, -1e9))


def constant(x):
    return keras.ops.softmax(x + np.triu(np.full((6, 6), -1e9, np.float32), 1))


@pytest.mark.parametrize("function", [twice, moved, biased, added, constant])
def test_all_ranges_up_to_the_softmax_are_those_of_the_scores(function):
    model, x, content = of(function)
    ranges = measure(content, x)
    other, changed = masks(content, ranges)
    found = measure(other, x)
    assert set(changed) == {name for name, (low, _) in ranges.items() if low < -1e8}
    for name, (low, high) in changed.items():
        assert -50 < low <= found[name][0] + 1e-4
        assert found[name][1] <= high < 10
    expected = np.asarray(model(x))
    np.testing.assert_allclose(tflite_export.run(other, x), expected, atol=1e-3)


@pytest.mark.parametrize("function", [twice, moved, constant])
def test_masks_count_for_nothing_in_integers_either(function):
    model, x, _ = of(function)
    content = tflite_export.convert(model, "int8", x)
    error = np.abs(np.asarray(model(x)) - tflite_export.run(content, x))
    assert error.max() < 0.08


def test_causal_and_padding_masks_of_attention_are_one():
    keras.utils.set_random_seed(0)

    class Attend(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.attention = keras.layers.MultiHeadAttention(2, 4, seed=0)

        def call(self, x):
            some = PRESENT[None, None]
            return self.attention(x, x, attention_mask=some, use_causal_mask=True)

    x = keras.Input((6, 8))
    model = keras.Model(x, Attend()(x))
    samples = np.random.default_rng(0).normal(size=(32, 6, 8)).astype(np.float32)
    content = float_file(model, integer=True)
    _, changed = masks(content, measure(content, samples))
    (range_,) = changed.values()
    assert -30 < range_[0]
    expected = np.asarray(model(samples))
    error = np.abs(
        expected - tflite_export.run(tflite_export.convert(model, "int8", samples), samples)
    )
    assert error.max() < 0.1 * np.ptp(expected)


def test_a_mask_that_no_sample_needed_is_one_all_the_same():
    _, x, content = of(lambda x: keras.ops.softmax(where(x > -9, x, -1e9)))
    ranges = measure(content, x)
    assert min(low for low, _ in ranges.values()) > -9
    _, changed = masks(content, ranges)
    (low, _), *_ = changed.values()
    assert low == pytest.approx(x.min() - 10)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: where(x > 0, x, -1e30),
        lambda x: keras.ops.log_softmax(where(x > 0, x, -1e30)),
        lambda x: keras.ops.softmax(where(x > 0, x, -1e30) * 1e-30),
        lambda x: keras.ops.softmax(y := where(x > 0, x, -1e30)) + y,
    ],
)
def test_what_anything_but_a_softmax_reads_is_left_alone(function):
    _, x, content = of(function)
    assert masks(content, measure(content, x)) == (content, {})
