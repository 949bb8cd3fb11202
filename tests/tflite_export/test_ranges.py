from functools import partial

import keras
import numpy as np
import pytest

from tflite_export.conversion import float_file
from tflite_export.inspection import operators_in
from tflite_export.ranges import central, comparable, least_error, measure, narrowed


@pytest.fixture(scope="module")
def dense():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu")])
    return model, float_file(model)


def histogram(values, bins=2048):
    low, high = float(values.min()), float(values.max())
    return (low, high), np.histogram(values, bins, (low, high))[0]


def test_ranges_are_those_of_all_inputs(dense):
    model, content = dense
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    ranges = measure(content, x)
    outputs = np.asarray(model(x))
    (name,) = (operator.name for operator in operators_in(content))
    assert ranges[name] == pytest.approx((outputs.min(), outputs.max()), rel=1e-5)
    (source,) = ranges.keys() - {name}
    assert ranges[source] == (x.min(), x.max())


def test_the_central_range_leaves_out_as_many_at_either_end():
    values = np.arange(100_000) / 100_000
    low, high = central(*histogram(values), share=0.9)
    assert low == pytest.approx(0.05, abs=0.001)
    assert high == pytest.approx(0.95, abs=0.001)
    assert central(*histogram(values), share=1.0) == pytest.approx((0, 1), abs=1e-3)


def test_one_value_everywhere_keeps_its_range():
    assert central((0.0, 1.0), np.array([0, 0, 9, 0])) == (0.5, 0.75)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("kind", ["normal", "exponential"])
def test_the_range_of_least_error_is_that_of_a_search_by_quantizing(kind, bits):
    rng = np.random.default_rng(0)
    values = getattr(rng, kind)(size=20_000) * 2.0

    def squared_error(low, high):
        step = (high - low) / (2**bits - 1)
        quantized = np.round((np.clip(values, low, high) - low) / step) * step + low
        return np.mean((quantized - values) ** 2)

    low, high = values.min(), values.max()
    shares = np.linspace(0.1, 1, 40)
    best = min(squared_error(min(low, 0) * a, high * b) for a in shares for b in shares)
    found = least_error(*histogram(values), bits)
    assert squared_error(*found) < 1.05 * best
    assert squared_error(*found) <= squared_error(min(low, 0.0), high)


def test_an_outlier_is_clipped_and_even_values_are_not():
    even = np.linspace(0, 1, 10_001)
    assert least_error(*histogram(even)) == pytest.approx((0, 1), abs=0.02)
    low, high = least_error(*histogram(np.append(even, 5.0)), bits=4)
    assert low == 0
    assert 1 <= high < 2


def test_narrowed_ranges_lie_within_the_measured_ones(dense):
    _, content = dense
    x = np.random.default_rng(0).standard_t(2, size=(300, 4)).astype(np.float32)
    ranges = measure(content, x)
    for narrow in (partial(central, share=0.99), partial(least_error, bits=4)):
        closer = narrowed(content, x, ranges, narrow)
        assert closer.keys() == ranges.keys()
        for name, (low, high) in closer.items():
            assert min(ranges[name][0], 0) <= low <= high <= ranges[name][1]
        assert closer != ranges


def test_terms_and_sums_in_a_chain_are_comparable_each_with_the_next():
    x = keras.Input((4,))
    y = x
    for _ in range(3):
        y = y + keras.layers.Dense(4)(x)
    content = float_file(keras.Model(x, y))
    sums = [o for o in operators_in(content) if o.op == "ADD"]
    assert len(sums) == 3
    ranges = {name: (0.0, 1e-9) for o in operators_in(content) for name in o.outputs}
    first = next(name for name in sums[0].inputs if name in ranges)
    found = comparable(content, ranges | {first: (-1e5, 1e5)})
    for o in sums:
        (total,) = (found[name][1] - found[name][0] for name in o.outputs)
        terms = [found[name][1] - found[name][0] for name in o.inputs if name in found]
        assert total >= max(terms) / 128 * (1 - 1e-9)
        assert min(terms) >= total / 512 * (1 - 1e-9)
    assert found[first] == (-1e5, 1e5)
    assert comparable(content, found) == found
