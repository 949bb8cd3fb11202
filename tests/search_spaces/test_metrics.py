import math

import numpy as np
import pytest
from sklearn import metrics as reference

from search_spaces import metrics


def logits_and_labels(shape, classes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*shape, classes)), rng.integers(classes, size=shape)


def test_log_softmax_is_exact_where_exponentials_overflow():
    np.testing.assert_allclose(
        metrics.log_softmax([[1000.0, 0.0, 1000.0]]),
        [[-math.log(2), -1000 - math.log(2), -math.log(2)]],
    )


@pytest.mark.parametrize("shape", [(50,), (4, 7), (2, 5, 3)])
def test_cross_entropy_is_that_of_the_reference(shape):
    logits, labels = logits_and_labels(shape, 4)
    chances = np.exp(metrics.log_softmax(logits)).reshape(-1, 4)
    expected = reference.log_loss(labels.reshape(-1), chances, labels=range(4))
    assert metrics.cross_entropy(labels, logits) == pytest.approx(expected)
    assert metrics.cross_entropy(np.eye(4)[labels], logits) == pytest.approx(expected)
    assert metrics.perplexity(labels, logits) == pytest.approx(math.exp(expected))


def test_cross_entropy_of_many_rows_is_taken_in_parts(monkeypatch):
    logits, labels = logits_and_labels((50,), 4)
    whole = [metrics.cross_entropy(y, logits) for y in (labels, np.eye(4)[labels])]
    monkeypatch.setattr(metrics, "_CHUNK", 28)
    parts = [metrics.cross_entropy(y, logits) for y in (labels, np.eye(4)[labels])]
    assert parts == pytest.approx(whole)


def test_cross_entropy_of_answers_that_say_nothing():
    assert metrics.perplexity([0, 1, 2], np.zeros((3, 9))) == pytest.approx(9)
    assert metrics.perplexity([0], [[-1000.0, 0.0]]) == math.inf


def test_binary_cross_entropy_is_that_of_the_reference():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(40, 3)), rng.integers(2, size=(40, 3))
    chances = 1 / (1 + np.exp(-logits))
    expected = np.mean(
        [reference.log_loss(labels[:, one], chances[:, one]) for one in range(3)]
    )
    assert metrics.binary_cross_entropy(labels, logits) == pytest.approx(expected)
    assert metrics.binary_cross_entropy([0.0], [-1e4]) == 0
    assert metrics.binary_cross_entropy([0.0], [1e4]) == 1e4


def test_scores_of_classes_are_those_of_the_reference():
    rng = np.random.default_rng(1)
    labels, answers = rng.integers(4, size=(2, 60))
    assert metrics.accuracy(labels, answers) == reference.accuracy_score(labels, answers)
    assert metrics.balanced_accuracy(labels, answers, 6) == pytest.approx(
        reference.balanced_accuracy_score(labels, answers)
    )
    assert metrics.f1(labels, answers, 6) == pytest.approx(
        reference.f1_score(labels, answers, average="macro")
    )
    assert metrics.f1(labels == 2, answers == 2, 2, average="binary") == pytest.approx(
        reference.f1_score(labels == 2, answers == 2)
    )
    np.testing.assert_array_equal(
        metrics.confusion(labels, answers, 4), reference.confusion_matrix(labels, answers)
    )


def test_f1_of_several_labels_an_example_leaves_out_those_that_are_nowhere():
    rng = np.random.default_rng(2)
    labels, answers = rng.integers(2, size=(2, 30, 4))
    labels[:, 1] = answers[:, 1] = 0
    expected = reference.f1_score(labels, answers, average="macro", zero_division=np.nan)
    assert metrics.f1(labels, answers, 4) == pytest.approx(expected)
    assert metrics.f1(0 * labels, 0 * answers, 4) == 1


def test_another_average_is_refused():
    with pytest.raises(ValueError, match=r'Received: average="?\'?micro'):
        metrics.f1([0], [0], 2, average="micro")


def test_mean_iou_is_that_of_the_reference():
    rng = np.random.default_rng(3)
    labels, answers = rng.integers(3, size=(2, 2, 6, 5))
    expected = reference.jaccard_score(labels.ravel(), answers.ravel(), average="macro")
    assert metrics.mean_iou(labels, answers, 5) == pytest.approx(expected)


def test_mean_iou_by_hand_without_the_pixels_to_ignore():
    labels = [[0, 0, 255], [1, 1, 1]]
    answers = [[0, 1, 1], [1, 1, 0]]
    # Class 0: 1 of 3 pixels; class 1: 2 of 4.
    assert metrics.mean_iou(labels, answers, 2, 255) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert metrics.mean_iou([[255]], [[1]], 2, 255) == 1


@pytest.mark.parametrize("shape", [(30,), (30, 3)])
def test_scores_of_quantities_are_those_of_the_reference(shape):
    rng = np.random.default_rng(4)
    targets = rng.normal(50, 10, size=shape)
    outputs = targets + rng.normal(0, 5, size=shape)
    assert metrics.mse(targets, outputs) == pytest.approx(
        reference.mean_squared_error(targets, outputs)
    )
    assert metrics.mae(targets, outputs) == pytest.approx(
        reference.mean_absolute_error(targets, outputs)
    )
    assert metrics.rmse(targets, outputs) ** 2 == pytest.approx(metrics.mse(targets, outputs))
    assert metrics.r2(targets, outputs) == pytest.approx(reference.r2_score(targets, outputs))


def test_quantities_that_do_not_vary_are_met_or_not():
    targets = np.array([[5.0, 1.0], [5.0, 2.0]])
    for outputs in (targets, np.add(targets, [[1, 0], [0, 0]])):
        assert metrics.r2(targets, outputs) == reference.r2_score(targets, outputs)


def test_one_column_is_not_compared_with_a_row():
    with pytest.raises(ValueError, match=r"shape \(3,\) and answers of shape \(3, 1\)"):
        metrics.mse(np.zeros(3), np.zeros((3, 1)))
