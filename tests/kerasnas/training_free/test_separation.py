"""Scores of separation, against NumPy by hand."""

import math

import keras
import numpy as np
import pytest
from keras import layers

from kerasnas.training_free import jacob_cov, naswot
from kerasnas.training_free.copies import Unscorable
from kerasnas.training_free.separation import correlation_score


def agreements(*codes):
    """In how many places codes `(examples, places)` agree, counted one by one."""
    joined = np.concatenate(codes, axis=1)
    return np.array([[int((one == two).sum()) for two in joined] for one in joined])


class TestNaswot:
    def test_it_is_the_volume_that_codes_span(self, dense, drawn):
        x, one, two, three = drawn((6, 5), (5, 9), (9, 7), (7, 2))
        hidden = x @ one
        further = np.clip(hidden, 0, 6) @ two
        expected = np.log(np.linalg.det(agreements(hidden > 0, further > 0).astype(float)))
        score = naswot(dense(one, two, three, function="relu6"), x)
        assert score == pytest.approx(expected, rel=1e-6)

    def test_normalisation_is_that_of_the_batch(self, dense, drawn):
        x, one, two = drawn((6, 5), (5, 20), (20, 2))
        hidden = (x + 10.0) @ one  # hardly ever changes its sign from example to example
        codes = agreements(hidden > hidden.mean(axis=0))
        model = dense(one, two, between=[layers.BatchNormalization])
        expected = np.log(np.linalg.det(codes.astype(float)))
        assert naswot(model, x + 10.0) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize("function", ["relu", "hard_silu", "gelu", "leaky_relu"])
    def test_where_the_function_stands_makes_no_difference(self, dense, drawn, function):
        x, one, two = drawn((6, 5), (5, 20), (20, 2))
        start = keras.Input((5,))
        hidden = layers.Dense(20, activation=function)
        fused = keras.Model(start, layers.Dense(2)(hidden(start)))
        hidden.kernel.assign(one)
        assert naswot(fused, x) == pytest.approx(naswot(dense(one, two), x))

    def test_equal_codes_are_the_worst(self, dense, drawn):
        x, one, two = drawn((6, 5), (5, 9), (9, 2))
        x[1] = x[0] * 2
        assert naswot(dense(one, two), x) == -math.inf

    def test_nested_models_are_looked_into(self, dense, drawn):
        x, *kernels = drawn((6, 5), (5, 9), (9, 2))
        inner, start = dense(*kernels), keras.Input((5,))
        assert naswot(keras.Model(start, inner(start)), x) == naswot(inner, x)

    def test_rectifiers_are_needed(self, dense, drawn):
        with pytest.raises(Unscorable, match="which has none"):
            naswot(dense(*drawn((5, 9), (9, 2)), function="tanh"), np.ones((3, 5)))

    def test_a_rectifier_counts_in_each_place(self, dense, drawn):
        x, *kernels = drawn((6, 5), (5, 9), (9, 7), (7, 2))
        start, rectify = keras.Input((5,)), layers.ReLU()
        one, two, three = (layers.Dense(kernel.shape[1]) for kernel in kernels)
        model = keras.Model(start, three(rectify(two(rectify(one(start))))))
        model.set_weights([w for k in kernels for w in (k, np.zeros(k.shape[1]))])
        assert naswot(model, x) == naswot(dense(*kernels), x)


class TestJacobCov:
    @pytest.mark.parametrize("end", [None, "softmax"])
    def test_it_is_that_of_the_derivatives(self, dense, drawn, end):
        x, one, two = drawn((6, 5), (5, 9), (9, 2))
        open_ = x @ one > 0
        jacobian = np.einsum("ih,nh,h->ni", one, open_, two.sum(axis=1))
        values = np.linalg.eigvals(np.corrcoef(jacobian)).real.clip(0)
        expected = -(np.log(values + 1e-5) + 1 / (values + 1e-5))
        score = jacob_cov(dense(one, two, end=end), x)
        # Ranks below the number of examples make eigenvalues of 0, whose share is 1e5.
        assert score == pytest.approx(expected.sum(), rel=1e-3)

    def test_uncorrelated_rows_are_best(self):
        rows = np.array([[1.0, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
        assert correlation_score(rows) == pytest.approx(-3.0, abs=1e-4)
        assert correlation_score(rows + 0.5 * rows[:1]) < -3.0

    def test_a_linear_network_tells_nothing_apart(self, dense, drawn):
        x, one, two = drawn((6, 5), (5, 9), (9, 2))
        alike = -(5 * (math.log(1e-5) + 1e5) + math.log(6.0) + 1 / 6)
        linear = dense(one, two, function="linear")
        assert jacob_cov(linear, x) == pytest.approx(alike, rel=1e-2)

    def test_an_output_without_an_input_is_the_worst(self, drawn):
        start = keras.Input((5,))
        model = keras.Model(start, layers.Dense(2)(layers.Rescaling(0.0)(start)))
        assert jacob_cov(model, drawn((6, 5))[0]) == -math.inf

    def test_tokens_are_refused(self):
        start = keras.Input((4,), dtype="int32")
        model = keras.Model(start, layers.Flatten()(layers.Embedding(9, 2)(start)))
        with pytest.raises(TypeError, match="Only real inputs"):
            jacob_cov(model, np.ones((3, 4), int))


@pytest.mark.parametrize("score", [naswot, jacob_cov])
def test_one_example_is_too_few(dense, drawn, score):
    with pytest.raises(ValueError, match="Pass 16 to 128"):
        score(dense(*drawn((5, 9), (9, 2))), np.ones((1, 5)))
