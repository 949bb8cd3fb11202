import keras
import numpy as np
import pytest
import scipy.stats

from tflite_export.verification import compare, confidence_interval, decision, scored

EXPECTED = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 5.0], [1.0, 0.0]])
ACTUAL = np.array([[1.0, 2.5], [3.0, 0.0], [6.0, 5.0], [1.0, 0.0]])


def test_figures_are_as_counted_by_hand():
    result = compare(EXPECTED, ACTUAL, labels=np.array([1, 0, 0, 1]))
    assert result.agreement == 0.75
    assert result.accuracy_keras == 0.5
    assert result.accuracy_tflite == 0.75
    assert result.max_abs_error == 6
    assert result.mean_abs_error == 6.5 / 8


@pytest.mark.parametrize(("right", "count"), [(9, 10), (500, 540), (0, 20), (20, 20)])
def test_the_confidence_interval_is_wilsons(right, count):
    reference = scipy.stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    found = confidence_interval(right / count, count)
    assert found == pytest.approx((reference.low, reference.high), abs=1e-4)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, 0, 0, 1], np.uint8),
        np.array([[1], [0], [0], [1]]),
        np.array([1.0, 0.0, 0.0, 1.0]),
        np.eye(2)[[1, 0, 0, 1]],
    ],
)
def test_labels_are_numbers_or_one_hot(labels):
    assert compare(EXPECTED, ACTUAL, labels).accuracy_keras == 0.5


@pytest.mark.parametrize(
    "labels",
    [None, np.array([0.3, 1, 0, 2]), np.ones((4, 2)), np.ones((4, 7)), np.array(["a"] * 4)],
)
def test_labels_of_any_other_kind_give_no_accuracy(labels):
    result = compare(EXPECTED, ACTUAL, labels)
    assert result.accuracy_keras is result.accuracy_tflite is None
    assert result.agreement == 0.75


def test_a_class_for_each_pixel_is_judged_for_each_pixel():
    expected, actual = EXPECTED.reshape(1, 2, 2, 2), ACTUAL.reshape(1, 2, 2, 2)
    result = compare(expected, actual, labels=np.array([[[1, 0], [0, 1]]]))
    assert (result.agreement, result.accuracy_tflite) == (0.75, 0.75)


def model(units, activation=None, **compiled):
    result = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation)])
    if compiled:
        result.compile(**compiled)
    return result


BINARY = keras.losses.BinaryCrossentropy


@pytest.mark.parametrize(
    ("made", "outputs", "classes"),
    [
        (model(2), [[1, 3], [5, 4]], [1, 0]),
        (model(2, loss="sparse_categorical_crossentropy"), [[1, 3], [5, 4]], [1, 0]),
        (model(1, "sigmoid"), [[0.4], [0.6]], [0, 1]),
        (model(1, "sigmoid", loss="binary_crossentropy"), [[0.4], [0.6]], [0, 1]),
        (model(1, loss=BINARY(from_logits=True)), [[-0.1], [0.1]], [0, 1]),
    ],
)
def test_a_classifier_decides_as_its_loss_or_last_layer_says(made, outputs, classes):
    outputs = np.array(outputs)
    assert decision(made, outputs.shape)(outputs).tolist() == classes


@pytest.mark.parametrize(
    "made",
    [
        model(1),
        model(1, "sigmoid", loss="mse"),
        model(2, loss=keras.losses.MeanAbsoluteError()),
        model(2, loss=keras.losses.huber),
    ],
)
def test_quantities_are_not_classes(made):
    outputs = np.ones((4, made.output_shape[-1]))
    assert decision(made, outputs.shape) is None
    result = compare(outputs, outputs + 0.25, labels=np.ones(4), decide=None)
    assert result.agreement is result.accuracy_keras is None
    assert result.max_abs_error == 0.25


def test_a_metric_judges_labels_of_any_shape():
    boxes = np.zeros((4, 3, 5))

    def overlap(labels, outputs):
        assert labels is boxes
        return outputs[:, 0].sum() / 20

    result = compare(EXPECTED, ACTUAL, boxes, decide=None, metric=overlap)
    assert (result.metric_keras, result.metric_tflite) == (0.25, 0.55)
    assert result.accuracy_keras is result.agreement is None


def test_without_a_metric_the_accuracy_is_what_counts():
    result = compare(EXPECTED, ACTUAL, labels=np.array([1, 0, 0, 1]))
    assert (result.metric_keras, result.metric_tflite) == (0.5, 0.75)
    assert compare(EXPECTED, ACTUAL).metric_keras is None


def test_outputs_without_a_score_count_nothing_but_the_models_must_have_one():
    def only_of_the_model(labels, outputs):
        return 0.5 if outputs is EXPECTED else np.nan

    result = compare(EXPECTED, ACTUAL, np.zeros(4), metric=only_of_the_model)
    assert (result.metric_keras, result.metric_tflite) == (0.5, 0.0)
    for score in (np.nan, [0.1, 0.2], np.ones(3)):
        with pytest.raises(ValueError, match="finite number, a share of 1"):
            scored(lambda *_, score=score: score, np.zeros(4), EXPECTED)


def test_each_of_several_labels_is_a_decision():
    outputs = np.array([[1.0, -1.0, 2.0], [-1.0, -2.0, -3.0]])
    truth = np.array([[1, 0, 0], [0, 0, 0]], np.float32)
    made = model(3, loss=BINARY(from_logits=True))
    decide = decision(made, outputs.shape, truth)
    assert decide(outputs).tolist() == [[1, 0, 1], [0, 0, 0]]
    result = compare(outputs, -outputs, truth, decide)
    assert (result.accuracy_keras, result.agreement) == (pytest.approx(5 / 6), 0)
    one_hot = np.eye(3)[[0, 1]]
    assert decision(made, outputs.shape, one_hot) is decision(made, outputs.shape)


def test_places_whose_label_is_no_class_do_not_count():
    expected, actual = EXPECTED.reshape(1, 2, 2, 2), ACTUAL.reshape(1, 2, 2, 2)
    for ignored in (-1, 255):
        result = compare(expected, actual, labels=np.array([[[1, ignored], [0, ignored]]]))
        assert (result.accuracy_keras, result.accuracy_tflite) == (0.5, 1.0)
