import keras
import numpy as np
import pytest

import tflite_export
from search_spaces.rounding import RoundedWeights, rounded


@pytest.fixture
def kernel():
    return np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_channel_has_so_many_different_weights_at_most(kernel, bits):
    for channel in np.moveaxis(rounded(kernel, bits), -1, 0):
        assert len(np.unique(channel)) <= 2**bits - 1


def test_rounding_errs_by_half_a_step_at_most(kernel):
    steps = np.abs(kernel).max(axis=(0, 1, 2)) / 7
    assert np.all(np.abs(rounded(kernel, 4) - kernel) <= steps / 2 + 1e-6)


def test_a_channel_of_zeros_stays():
    assert not rounded(np.zeros((3, 2), np.float32), 4).any()


@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_a_file_computes_with_the_weights_that_a_network_is_scored_with(kind):
    layer = keras.layers.Conv2D(8, 3) if kind == "conv" else keras.layers.Dense(8)
    model = keras.Sequential([keras.Input((6, 6, 4) if kind == "conv" else (32,)), layer])
    rng = np.random.default_rng(0)
    layer.kernel.assign(rng.normal(size=layer.kernel.shape) * np.arange(1, 9))
    x = rng.random((64, *model.input_shape[1:]), dtype=np.float32)
    answers = tflite_export.run(tflite_export.convert(model, "int4", x), x)
    full = model(x).numpy()
    layer.kernel.assign(rounded(layer.kernel.numpy(), 4, per_channel=kind == "conv"))
    expected = model(x).numpy()
    error = np.abs(answers - expected).mean()
    assert error < 0.1 * np.abs(answers - full).mean() + np.ptp(expected) / 255


class TestRoundedWeights:
    @pytest.fixture
    def model(self, kernel):
        model = keras.Sequential(
            [
                keras.Input((4, 4, 4)),
                keras.layers.Conv2D(8, 3, padding="same"),
                keras.layers.DepthwiseConv2D(3),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )
        model.layers[0].kernel.assign(kernel)
        model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.0))
        return model

    def test_scores_are_those_of_rounded_weights(self, model):
        rng = np.random.default_rng(2)
        x, y = rng.random((8, 4, 4, 4)), rng.random((8, 2))
        history = model.fit(
            x, y, validation_data=(x, y), verbose=0, callbacks=[RoundedWeights(4)]
        )

        full = model.evaluate(x, y, verbose=0)
        for index in (0, 3):
            kernel = model.layers[index].kernel
            kernel.assign(rounded(kernel.numpy(), 4, per_channel=index == 0))
        expected = model.evaluate(x, y, verbose=0)
        assert history.history["val_loss"][0] == pytest.approx(expected, rel=1e-4)
        assert expected != pytest.approx(full, rel=1e-4)

    def test_training_keeps_full_weights(self, model, kernel):
        x, y = np.zeros((4, 4, 4, 4)), np.zeros((4, 2))
        model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[RoundedWeights(4)])
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)
