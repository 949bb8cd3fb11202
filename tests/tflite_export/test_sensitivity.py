import keras
import numpy as np
import pytest

from tflite_export.attribution import layer_of
from tflite_export.conversion import float_file
from tflite_export.inspection import operators_in
from tflite_export.sensitivity import relative_error, sensitivities

layers = keras.layers


@pytest.fixture(scope="module")
def spoilt():
    """Three convolutions, of which the second hides small channels behind a large one."""
    keras.utils.set_random_seed(0)
    stack = [layers.Conv2D(4, 3, activation="relu", name=name) for name in "abc"]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack])
    scale = np.array([1.0, 1.0, 1.0, 1000.0])
    kernel, bias = model.get_layer("b").get_weights()
    model.get_layer("b").set_weights([kernel * scale, bias])
    kernel, bias = model.get_layer("c").get_weights()
    model.get_layer("c").set_weights([kernel / scale[:, None], bias])
    return float_file(model)


@pytest.fixture(scope="module")
def ranking(spoilt, x):
    return sensitivities(spoilt, x)


def test_every_operator_is_ranked_the_worst_first(spoilt, ranking):
    assert {entry.name for entry in ranking} == {o.name for o in operators_in(spoilt)}
    errors = [entry.error for entry in ranking]
    assert errors == sorted(errors, reverse=True)
    assert {entry.op for entry in ranking} == {"CONV_2D"}


def test_the_operators_around_a_bad_tensor_come_first(ranking):
    assert {layer_of([entry.name], "abc") for entry in ranking[:2]} <= {"b", "c", None}
    assert layer_of([ranking[2].name], "abc") == "a"
    assert ranking[1].error > 5 * ranking[2].error


def test_sixteen_bits_hurt_less(spoilt, x, ranking):
    wide = sensitivities(spoilt, x, "int16x8")
    assert wide[0].error < ranking[0].error


def test_floats_are_no_quantization_to_rank_by(spoilt, x):
    with pytest.raises(ValueError, match=r"'int8', 'int16x8', 'int4'.*Received: .*'dynamic'"):
        sensitivities(spoilt, x, "dynamic")


def test_the_relative_error_is_in_standard_deviations():
    expected = np.array([1.0, -1.0, 1.0, -1.0])
    assert relative_error(expected, expected + 0.5) == 0.5
    assert relative_error(np.ones(3), np.ones(3)) == 0
    assert relative_error(np.ones(3), np.zeros(3)) == np.inf
