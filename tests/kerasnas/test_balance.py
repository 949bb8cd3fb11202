import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from kerasnas.balance import balanced, class_weights
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression

LABELS = np.repeat([0, 1, 2], [50, 8, 2])


class TestClassification:
    def test_weights_are_those_of_scikit_learn(self):
        expected = compute_sample_weight("balanced", LABELS)
        np.testing.assert_allclose(balanced(LABELS, Classification(3)), expected, rtol=1e-6)

    def test_one_hot_labels_weigh_what_their_class_does(self):
        rows = np.eye(3, dtype="float32")[LABELS]
        np.testing.assert_array_equal(
            balanced(rows, Classification(3, one_hot=True)),
            balanced(LABELS, Classification(3)),
        )

    def test_sample_weights_are_multiplied(self):
        given = np.linspace(0, 1, len(LABELS), dtype="float32")
        weights = balanced(LABELS, Classification(3), given)
        np.testing.assert_allclose(weights, balanced(LABELS, Classification(3)) * given)
        assert weights.dtype == np.float32

    def test_a_class_without_examples_takes_nothing_from_others(self):
        np.testing.assert_allclose(
            class_weights(LABELS, Classification(4))[:3],
            compute_class_weight("balanced", classes=np.arange(3), y=LABELS),
            rtol=1e-6,
        )

    def test_classes_that_a_dict_leaves_out_weigh_1(self):
        weights = balanced(LABELS, Classification(3), class_weight={2: 5.0, 0: 0})
        np.testing.assert_array_equal(weights, np.array([0, 1, 5.0])[LABELS])


class TestMultiLabel:
    def test_with_one_label_each_it_is_the_balance_of_classes(self):
        rows = np.eye(3)[LABELS]
        expected = compute_sample_weight("balanced", LABELS)
        np.testing.assert_allclose(balanced(rows, MultiLabel(3)), expected, rtol=1e-5)

    def test_examples_with_rare_labels_weigh_more(self):
        rows = np.array([[1, 0]] * 8 + [[1, 1], [0, 0]], "float32")
        common, both, none = balanced(rows, MultiLabel(2))[[0, 8, 9]]
        assert common < both < none + 1e-6
        assert balanced(rows, MultiLabel(2)).mean() == pytest.approx(1, rel=1e-5)

    def test_a_dict_is_averaged_over_the_labels_of_an_example(self):
        rows = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
        weights = balanced(rows, MultiLabel(3), class_weight={0: 2.0, 1: 4.0})
        np.testing.assert_allclose(weights, [2, 3, 1])


class TestSegmentation:
    @pytest.fixture
    def masks(self):
        rng = np.random.default_rng(0)
        return rng.choice([0, 1, 2, 255], (300, 6, 5), p=[0.7, 0.2, 0.05, 0.05]).astype(
            "int32"
        )

    def test_pixels_weigh_what_scikit_learn_says(self, masks):
        weigh = balanced(masks, Segmentation(3, ignore_class=255))
        counted = masks[masks != 255]
        weights = weigh(masks).numpy()
        np.testing.assert_allclose(
            weights[masks != 255], compute_sample_weight("balanced", counted), rtol=1e-5
        )
        assert (weights[masks == 255] == 0).all()
        assert weights.dtype == np.float32

    def test_a_class_that_is_ignored_is_not_counted(self, masks):
        weights = class_weights(masks, Segmentation(3, ignore_class=0))
        one, two = (np.mean(masks[np.isin(masks, [1, 2])] == label) for label in (1, 2))
        np.testing.assert_allclose(weights[1:], [0.5 / one, 0.5 / two], rtol=1e-5)

    def test_weights_of_examples_are_multiplied_batch_by_batch(self, masks):
        weigh = balanced(masks, Segmentation(3, ignore_class=255))
        given = np.arange(300, dtype="float32")
        batches = tf.data.Dataset.from_tensor_slices((masks, given)).batch(128)
        found = np.concatenate([part.numpy() for part in batches.map(weigh)])
        np.testing.assert_allclose(found, weigh(masks) * given[:, None, None])

    def test_the_loss_of_the_task_takes_them(self, masks):
        task = Segmentation(3, ignore_class=255)
        logits = np.random.default_rng(1).normal(size=(*masks.shape, 3)).astype("float32")
        weights = balanced(masks, task)(masks)
        loss = task.compile_arguments()["loss"](masks, logits, weights)
        inside = masks != 255
        each = keras.losses.sparse_categorical_crossentropy(
            masks[inside], logits[inside], from_logits=True
        )
        expected = np.mean(each * weights.numpy()[inside])
        assert float(loss) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("task", [Regression(1), NextToken(5), Detection(2)])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0}])
def test_tasks_without_classes_to_balance_are_refused(task, class_weight):
    with pytest.raises(ValueError, match="Class weights are for classification"):
        balanced(np.zeros((4, 5)), task, class_weight=class_weight)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("balance", "Did you mean 'balanced'"),
        ({3: 1.0}, "from 0 to 2"),
        ({"0": 1.0}, "from 0 to 2"),
        ({True: 1.0}, "from 0 to 2"),
        ({0: -1.0}, "A class weighs a number from 0"),
        ({0: float("nan")}, "A class weighs a number from 0"),
        ({0: 0, 1: 0, 2: 0}, "Some class that occurs must count"),
        (5, "Class weights are 'balanced' or a dict"),
    ],
)
def test_other_weights_are_refused(class_weight, message):
    with pytest.raises(ValueError, match=message):
        class_weights(LABELS, Classification(3), class_weight)


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (LABELS, Classification(4)),
        (np.eye(4)[LABELS], MultiLabel(4)),
        (LABELS.reshape(-1, 2, 5), Segmentation(4)),
    ],
)
def test_weights_that_leave_only_a_class_without_examples_are_refused(labels, task):
    with pytest.raises(ValueError, match="Some class that occurs must count"):
        class_weights(labels, task, {0: 0, 1: 0, 2: 0})
