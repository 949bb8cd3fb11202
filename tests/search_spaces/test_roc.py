import numpy as np
import pytest
from sklearn import metrics as reference

from search_spaces.roc import average_precision, roc_auc, roc_auc_one_vs_rest


def graded(count, seed, steps=8):
    """Labels and scores that go together, with many ties as int8 outputs have them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    return labels, np.round(rng.normal(labels, 1.5) * steps / 4)


@pytest.mark.parametrize("seed", range(5))
def test_areas_and_precisions_are_those_of_the_reference_ties_included(seed):
    labels, scores = graded(40, seed)
    assert len(np.unique(scores)) < 20
    assert roc_auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(
        reference.average_precision_score(labels, scores)
    )


def test_the_area_counts_pairs():
    assert roc_auc([0, 1, 0, 1], [1, 1, 0, 2]) == (1 / 2 + 1 + 1 + 1) / 4
    assert roc_auc([0, 1], [3, 3]) == 0.5
    assert roc_auc([True, False], [-1.0, 1.0]) == 0


def test_each_class_against_the_rest_is_that_of_the_reference():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=60)
    chances = rng.dirichlet(np.ones(4), size=60) + np.eye(4)[labels]
    chances /= chances.sum(axis=1, keepdims=True)
    expected = reference.roc_auc_score(labels, chances, multi_class="ovr")
    assert roc_auc_one_vs_rest(labels, chances) == pytest.approx(expected)


def test_several_labels_an_example_are_those_of_the_reference():
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=(50, 3))
    scores = rng.normal(labels)
    assert roc_auc_one_vs_rest(labels, scores) == pytest.approx(
        reference.roc_auc_score(labels, scores)
    )
    assert average_precision(labels, scores) == pytest.approx(
        reference.average_precision_score(labels, scores)
    )


def test_classes_that_all_or_none_have_are_left_out():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    scores = np.array([[2.0, 0, 0], [1, 5, 5], [0, 9, 0]])
    assert roc_auc_one_vs_rest(labels, scores) == roc_auc(labels[:, 0], scores[:, 0]) == 0.5
    with pytest.raises(ValueError, match="no class that some of the 3 examples have"):
        roc_auc_one_vs_rest(labels[:, 1:], scores[:, 1:])


@pytest.mark.parametrize("measure", [roc_auc, average_precision])
@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        ([1, 1], [0.0, 1.0], r"Received: 2 positives and 0 negatives\."),
        ([0, 1], [0.0, np.nan], "a finite number"),
        ([0, 1, 1], [0.0, 1.0], r"labels of shape \(3,\) and scores of shape \(2,\)"),
        ([0, 2], [0.0, 1.0], r"Received: labels \[0, 2\]\."),
    ],
)
def test_what_are_no_two_groups_is_refused(measure, labels, scores, said):
    with pytest.raises(ValueError, match=said):
        measure(labels, scores)
