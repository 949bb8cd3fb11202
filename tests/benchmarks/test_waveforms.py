import wave

import keras
import numpy as np
import pytest

from benchmarks import waveforms
from benchmarks.waveforms import CLASSES, SAMPLE_RATE, vowels
from search_spaces.waveform import Waveform


def test_recordings_are_the_same_for_the_same_seed_whatever_the_count():
    x, y = vowels(20)
    again, labels = vowels(10)
    np.testing.assert_array_equal(x[:10], again)
    np.testing.assert_array_equal(y[:10], labels)
    assert not np.array_equal(vowels(10, seed=1)[0], again)


def test_recordings_are_waveforms_of_as_many_of_each_class():
    x, y = vowels(40)
    assert x.shape == (40, 4000)
    assert x.dtype == np.float32
    assert np.abs(x).max() <= 1
    assert np.bincount(y).tolist() == [5] * len(CLASSES)


def test_loudness_does_not_tell_classes_apart():
    x, y = vowels(160)
    loud = np.log10(x.std(axis=1))
    between = np.var([loud[y == label].mean() for label in range(len(CLASSES))])
    assert between < np.var(loud) / 10


def test_wave_files_become_models_with_the_front_end_inside(tmp_path):
    x, y = vowels(16)
    for number, (samples, label) in enumerate(zip(x, y, strict=True)):
        folder = tmp_path / CLASSES[label]
        folder.mkdir(exist_ok=True)
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes((samples * 32767).astype("<i2").tobytes())
    data = keras.utils.audio_dataset_from_directory(
        tmp_path, batch_size=8, output_sequence_length=4000, verbose=False
    )
    x, y = next(iter(data.unbatch().batch(16)))
    assert x.shape == (16, 4000, 1)
    space = Waveform(x.shape[1:], len(CLASSES), sample_rate=SAMPLE_RATE)
    model = waveforms.trained(space, waveforms.VALUES, x, y, epochs=1)
    assert model.predict(data, verbose=0).shape == (16, len(CLASSES))


@pytest.mark.slow
def test_files_hear_what_keras_models_hear_but_for_spectra_in_int8():
    found = waveforms.compare(seed=0, examples=400, epochs=20)
    assert found["keras"] > 0.9
    assert found["inside"] > found["keras"] - 0.02
    assert found["outside"] > found["keras"] - 0.02
    assert found["all int8"] < found["keras"] - 0.2
    assert found["keras"] > max(found["nearest neighbour"], found["logistic"]) + 0.4
