import itertools

import numpy as np
import pytest
import tensorflow as tf

from tflite_export.calibration import draw, first, random_inputs

SHAPE = (2, 1)
X = np.arange(40, dtype=np.float32).reshape(20, *SHAPE)
Y = np.arange(20)


def slices(*structure):
    return tf.data.Dataset.from_tensor_slices(*structure)


FORMS = {
    "array": X,
    "list": X.tolist(),
    "tensor": tf.constant(X),
    "arrays": (X, Y),
    "dictionary": {"image": X, "label": Y},
    "dataset": slices(X),
    "pairs": slices((X, Y)),
    "weighted": slices((X, Y, np.ones(20))),
    "batches": slices((X, Y)).batch(7),
    "tfds": slices({"image": X, "label": Y, "id": Y}).batch(7),
    "one other key": slices({"audio": X, "label": Y}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_inputs_with_their_own_labels(form):
    for samples in (draw(FORMS[form], SHAPE, 8, seed=0), first(FORMS[form], SHAPE, 8)):
        assert samples.inputs.shape == (8, *SHAPE)
        if samples.labels is not None:
            np.testing.assert_array_equal(samples.inputs[:, 0, 0], 2 * samples.labels)
        assert (samples.labels is None) == (form in {"array", "list", "tensor", "dataset"})


@pytest.mark.parametrize("form", ["array", "batches"])
class TestDraw:
    def test_takes_each_example_at_most_once(self, form):
        samples = draw(FORMS[form], SHAPE, 12, seed=0)
        assert len(np.unique(samples.inputs)) == 24

    def test_takes_all_when_there_are_few(self, form):
        samples = draw(FORMS[form], SHAPE, 500, seed=0)
        np.testing.assert_array_equal(np.sort(samples.inputs.ravel()), X.ravel())

    def test_same_seed_same_sample_and_zero_is_a_seed(self, form):
        def drawn(seed):
            return draw(FORMS[form], SHAPE, 8, seed).inputs.tolist()

        assert drawn(0) == drawn(0)
        assert drawn(0) != drawn(1)

    def test_every_example_is_as_likely(self, form):
        draws = [draw(FORMS[form], SHAPE, 5, seed).inputs[:, 0, 0] for seed in range(100)]
        counts = np.bincount(np.concatenate(draws).astype(int) // 2, minlength=20)
        assert counts.min() > 25 - 18  # mean 25, standard deviation 4.3
        assert counts.max() < 25 + 18


def test_an_endless_data_set_is_read_so_far_and_no_further():
    read = itertools.count()

    def endless():
        for value in read:
            yield np.full(SHAPE, value, np.float32)

    dataset = tf.data.Dataset.from_generator(
        endless, output_signature=tf.TensorSpec(SHAPE, tf.float32)
    )
    assert draw(dataset, SHAPE, 4, seed=0).inputs.max() < 64
    assert next(read) < 100


def test_first_keeps_the_order():
    np.testing.assert_array_equal(first(FORMS["batches"], SHAPE, 10).labels, Y[:10])


def test_one_input_without_a_batch_is_a_batch_of_one():
    assert first(X[0], SHAPE, 10).inputs.shape == (1, *SHAPE)


def test_random_inputs_follow_the_seed():
    a, b = random_inputs(SHAPE, 9, 0).inputs, random_inputs(SHAPE, 9, 1).inputs
    assert a.shape == (9, *SHAPE)
    assert 0 <= a.min() <= a.max() < 1
    assert (a != b).any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, r"Received: int: 3"),
        (None, r"Received: NoneType"),
        ({"left": X, "right": X}, r"dictionary of \['left', 'right'\].*Map it to \(x, y\)"),
        (slices(({"a": X}, Y)), r"Received: a tuple of dict, int64"),
        (slices([["a", "b"]]), r"must hold numbers.*Received: inputs of type"),
    ],
)
def test_data_of_no_known_form_is_named(data, message):
    with pytest.raises(TypeError, match=message):
        draw(data, (2,) if isinstance(data, tf.data.Dataset) else SHAPE, 4, seed=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (slices(X).take(0), r"calibration is empty"),
        (slices(X[..., 0]), r"Received: shape .*the inputs the model was trained on"),
        (slices(np.where(X == 7, np.inf, X)).batch(4), r"NaN or infinity in 1 of"),
    ],
)
def test_data_sets_that_do_not_fit_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        draw(data, SHAPE, 4, seed=0)


def test_a_sample_of_nothing_is_refused():
    with pytest.raises(ValueError, match="Received: num_calibration=0"):
        draw(X, SHAPE, 0, seed=0)
