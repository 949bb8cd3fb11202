"""The front end is compared with TensorFlow's signal processing, and with its Keras model."""

import json

import keras
import numpy as np
import pytest
import scipy.fft
import tensorflow as tf

from search_spaces.front_end import FrontEnd


def front_end(**changes):
    usual = {"kind": "log_mel", "sample_rate": 8000, "samples": 2000, "frame": 200}
    return FrontEnd(**{**usual, "hop": 80, "bands": 20, **changes})


FRONT_ENDS = {
    "log_mel": front_end(),
    "mfcc": front_end(kind="mfcc", coefficients=10, bands=40),
    "frames of a power of 2": front_end(frame=256, hop=128),
    "a rest at the end": front_end(samples=2013, hop=200),
    "16 kHz": front_end(sample_rate=16_000, frame=400, hop=160, bands=64),
    "integers": front_end(scale=1 / 32768, offset=0.01),
}


def recordings(made, count=5, seed=0):
    """Noise and tones from loud to silent."""
    rng = np.random.default_rng(seed)
    along = np.arange(made.samples) / made.sample_rate
    x = np.sin(2 * np.pi * rng.uniform(100, 3000, (count, 1)) * along)
    x = (x + rng.normal(0, 0.1, x.shape)) * 10.0 ** -np.arange(count)[:, None]
    x[-1] = 0
    return (x / made.scale).astype(np.float32)


def of_tensorflow(made, x):
    x = tf.constant(x) * made.scale + made.offset
    spectrum = tf.signal.stft(x, made.frame, made.hop, made.fft_length)
    # Their window sums to half the length of a frame, ours to 2.
    power = np.abs(spectrum) ** 2 * (4 / made.frame) ** 2
    weights = tf.signal.linear_to_mel_weight_matrix(
        made.bands, made.bins, made.sample_rate, 20.0, made.sample_rate / 2
    )
    bands = 0.2 * np.log(power @ weights.numpy() + 1e-8) + 2
    if not made.coefficients:
        return bands
    k = np.arange(made.coefficients)
    lifter = 1 + 11 * np.sin(np.pi * k / 22)
    cepstrum = scipy.fft.dct(bands, norm="ortho")[..., : made.coefficients]
    return cepstrum * lifter / np.sqrt(made.bands)


@pytest.mark.parametrize("made", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_features_are_those_of_tensorflows_signal_processing(made):
    x = recordings(made)
    features = made.features(x)
    assert features.shape == (len(x), *made.shape)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, of_tensorflow(made, x), atol=1e-3)


@pytest.mark.parametrize("made", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_a_saved_keras_model_of_it_returns_the_same_features(made, tmp_path):
    model = made.model()
    model.save(tmp_path / "front_end.keras")
    loaded = keras.models.load_model(tmp_path / "front_end.keras")
    x = recordings(made)
    np.testing.assert_allclose(loaded(x), made.features(x), atol=1e-3)
    assert not model.weights


def test_recordings_may_have_a_channel_axis():
    made = front_end()
    x = recordings(made)
    expected = made.features(x)
    np.testing.assert_array_equal(made.features(x[..., None]), expected)
    np.testing.assert_allclose(made.model((2000, 1))(x[..., None]), expected, atol=1e-3)


def test_a_sine_of_full_scale_has_a_power_of_1_in_its_band():
    made = front_end(frame=256, hop=256, bands=20)
    line = 32  # of 1000 Hz
    x = np.sin(2 * np.pi * 1000 * np.arange(2000) / 8000)[None]
    power = np.exp((made.features(x) - 2) / 0.2)[0, 0]
    # A Hann window spreads a quarter of the power to each of the lines beside.
    weights = made.mel_weights()
    expected = weights[line] + (weights[line - 1] + weights[line + 1]) / 4
    np.testing.assert_allclose(power, expected, atol=1e-3)


def test_silence_has_the_least_features():
    made = front_end()
    silent = made.features(np.zeros((1, 2000)))
    np.testing.assert_allclose(silent, 2 + 0.2 * np.log(1e-8), rtol=1e-5)
    assert made.features(recordings(made)).min() >= silent.min()


def test_no_recordings_have_no_features():
    made = front_end()
    assert made.features(np.zeros((0, 2000))).shape == (0, *made.shape)


@pytest.mark.parametrize("made", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_its_settings_are_all_that_a_program_on_a_device_needs(made):
    settings = json.loads(json.dumps(made.settings()))
    assert FrontEnd.of(settings) == made
    x = recordings(made, 2)[0]
    # As one would write it in C.
    features = []
    for number in range(settings["frames"]):
        start = number * settings["hop"]
        frame = x[start : start + settings["frame"]] * settings["scale"] + settings["offset"]
        spectrum = np.fft.rfft(frame * settings["window"], settings["fft_length"])
        power = np.abs(spectrum) ** 2
        bands = []
        for one in settings["filters"]:
            lines = power[one["first"] : one["first"] + len(one["weights"])]
            value = np.log(np.dot(lines, one["weights"]) + settings["floor"])
            bands.append(value * settings["log_scale"] + settings["log_offset"])
        rows = settings.get("dct")
        features.append([np.dot(row, bands) for row in rows] if rows else bands)
    np.testing.assert_allclose(features, made.features(x[None])[0], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "plp"}, "kind='plp'"),
        ({"coefficients": 3}, "coefficients=3"),
        ({"kind": "mfcc"}, "coefficients=0"),
        ({"kind": "mfcc", "coefficients": 21}, "coefficients=21"),
        ({"hop": 300}, "hop=300"),
        ({"samples": 199}, "samples=199"),
        ({"bands": 200}, "bands=200"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, said):
    with pytest.raises(ValueError, match=f"Received: .*{said}"):
        front_end(**changes)


@pytest.mark.parametrize("shape", [(3, 1999), (2000,), (3, 2000, 2)])
def test_recordings_of_another_length_are_refused(shape):
    with pytest.raises(ValueError, match=r"Recordings have 2000 samples\. Received: "):
        front_end().features(np.zeros(shape))
