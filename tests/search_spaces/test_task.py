import dataclasses

import keras
import keras_tuner
import numpy as np
import pytest
from sklearn import metrics as reference

from search_spaces.blocks import conv, reshape
from search_spaces.detection import Detection
from search_spaces.mlp import MLP
from search_spaces.mobile import MobileNet
from search_spaces.network import freeze, input_node
from search_spaces.segmentation import Segmentation
from search_spaces.task import (
    Classification,
    MultiLabel,
    NextToken,
    Regression,
    Task,
    check_feature_map,
)
from search_spaces.tcn import TemporalConvNet


@pytest.mark.parametrize("shape", [(8, 6, 3), (9, 4), (5,)])
@pytest.mark.parametrize(
    ("task", "units"), [(Classification(7), 7), (MultiLabel(3), 3), (Regression(2), 2)]
)
def test_one_answer_an_example_whatever_the_rank_of_its_features(shape, task, units):
    network = freeze(task.head(input_node(shape)))
    assert network.output_shape == (units,)
    pooled = [record for record in network.layers if record.op == "global_average_pool"]
    assert len(pooled) == (len(shape) > 1)


def test_an_answer_for_each_position_of_a_text():
    assert freeze(NextToken(50).head(input_node((12, 8)))).output_shape == (12, 50)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_comes_before_the_last_layer(rate):
    layers = freeze(Classification(3, dropout=rate).head(input_node((4,)))).layers
    expected = ["input", "dropout", "dense"] if rate else ["input", "dense"]
    assert [record.op for record in layers] == expected


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Classification(1), r"at least 2 classes\. Received: num_classes=1\."),
        (lambda: Regression(0), r"at least 1 number\. Received: units=0\."),
        (lambda: MultiLabel(0), r"at least 1 label to give\. Received: num_classes=0\."),
        (lambda: Regression(2, scale=0.0), r"Received: scale=0\.0 for units=2\."),
        (lambda: Regression(2, scale=(1.0, -1.0)), r"Received: scale=\(1\.0, -1\.0\)"),
        (lambda: Regression(2, offset=(1, 2, 3)), r"Received: offset=\(1, 2, 3\)"),
        (lambda: Regression(1, offset=np.nan), r"Received: offset=nan"),
        (lambda: NextToken(1), r"at least 2 different tokens\. Received: vocabulary=1\."),
    ],
)
def test_a_task_without_a_question_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (Classification(3), np.array([2, 0])),
        (Classification(3, one_hot=True), np.eye(3)[[2, 0]]),
    ],
)
def test_losses_take_logits_and_labels_as_they_are(task, labels):
    logits = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 0.0]], "float32")
    arguments = task.compile_arguments()
    expected = np.mean(np.log(np.exp(logits).sum(1)) - [2.0, 3.0])
    assert float(arguments["loss"](labels, logits)) == pytest.approx(expected, rel=1e-5)
    (metric,) = arguments["metrics"]
    metric.update_state(labels, logits)
    assert (metric.name, float(metric.result())) == ("accuracy", 1.0)


@pytest.mark.parametrize(
    "task", [Classification(3), MultiLabel(3), Regression(scale=5.0), NextToken(9)]
)
def test_losses_and_metrics_are_stock(task):
    arguments = task.compile_arguments()
    for stock in (arguments["loss"], *arguments["metrics"]):
        assert keras.saving.serialize_keras_object(stock)["registered_name"] is None


def test_what_is_not_in_rows_and_columns_is_refused():
    check_feature_map("Segmentation", conv(input_node((4, 4, 1)), 2))
    with pytest.raises(ValueError, match=r"Received: features of shape \(9, 4\)"):
        check_feature_map("Segmentation", input_node((9, 4)))


@pytest.mark.parametrize("task", [Segmentation(3), Detection(3)])
def test_features_of_a_series_are_no_image(task):
    series = reshape(input_node((13, 4)), (13, 1, 4))
    with pytest.raises(ValueError, match=r"\(13, 1, 4\), of an input of shape \(13, 4\)"):
        task.head(series)


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (MobileNet, (16, 16, 3)),  # no sequence goes in
        (TemporalConvNet, (13, 4)),  # none comes out
        (MLP, (16,)),
    ],
)
def test_the_next_token_is_asked_for_at_each_position(space, shape):
    with pytest.raises(ValueError, match=r"each position of a sequence\. Received: features"):
        space(shape, task=NextToken(50)).network({})


def test_a_shortened_sequence_has_lost_positions():
    x = reshape(input_node((12, 8)), (6, 16))
    with pytest.raises(ValueError, match=r"shape \(6, 16\), of an input of shape \(12, 8\)"):
        NextToken(50).head(x)


# --- scores ---

SIZE = 16
TASKS = [
    Classification(2),
    Classification(4),
    Classification(4, one_hot=True),
    MultiLabel(3),
    Regression(1),
    Regression(2, scale=(10.0, 30.0), offset=(5.0, -5.0)),
    NextToken(6),
    Segmentation(3),
    Segmentation(3, ignore_class=255),
    Detection(2, image_shape=(SIZE, SIZE, 1)),
]


def answers(task: Task, count=40, seed=0):
    """Targets as data sets store them, and outputs that are partly right."""
    rng = np.random.default_rng(seed)
    match task:
        case Classification():
            labels = rng.integers(task.num_classes, size=count)
            rows = np.eye(task.num_classes, dtype="float32")[labels]
            outputs = rng.normal(rows)
            return (rows if task.one_hot else labels), outputs
        case MultiLabel():
            labels = rng.integers(2, size=(count, task.num_classes)).astype("float32")
            return labels, rng.normal(labels - 0.5)
        case Regression():
            targets = rng.normal(size=(count, task.units)).astype("float32") * 20
            return targets, rng.normal(targets, 5)
        case NextToken():
            tokens = rng.integers(task.vocabulary, size=(count, 7), dtype="int32")
            return tokens, rng.normal(np.eye(task.vocabulary)[tokens])
        case Segmentation():
            masks = rng.integers(task.num_classes, size=(count, 6, 5), dtype="int32")
            outputs = rng.normal(np.eye(task.num_classes)[masks])
            if task.ignore_class is not None:
                masks[:, 0] = task.ignore_class
            return masks, outputs
        case Detection():
            corners = rng.uniform(0, 0.5, size=(count, 3, 2))
            boxes = np.concatenate([corners, corners + 0.3], axis=-1)
            classes = rng.integers(-1, task.num_classes, size=(count, 3, 1))
            targets = np.concatenate([boxes, classes], axis=-1).astype("float32")
            outputs = task.encoded(targets)
            outputs[..., : task.num_classes] = 9 * outputs[..., : task.num_classes] - 6
            return targets, outputs
    raise AssertionError(task)


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_every_score_has_a_direction_and_the_measure_is_a_share_of_1(task):
    found = task.scores(*answers(task))
    expected = set(task.directions) - ({"loss"} if isinstance(task, Detection) else set())
    assert set(found) == expected
    assert all(isinstance(score, float) for score in found.values())
    assert set(task.directions.values()) <= {"max", "min"}
    assert task.directions[task.measure] == "max"
    assert 0.2 < found[task.measure] < 1


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_the_objective_is_one_of_the_scores_with_its_direction(task):
    objective = keras_tuner.oracles.RandomSearchOracle(objective=task.objective).objective
    assert objective.direction == task.directions[objective.name.removeprefix("val_")]


@pytest.mark.parametrize("task", [t for t in TASKS if not isinstance(t, Detection)], ids=repr)
def test_scores_are_what_keras_reports_under_their_names(task):
    targets, outputs = answers(task)
    outputs = outputs.astype("float32")
    model = keras.Sequential([keras.layers.Identity()])
    model.compile(**task.compile_arguments())
    reported = model.evaluate(
        outputs, task.encoded(targets), batch_size=len(outputs), return_dict=True, verbose=0
    )
    found = task.scores(targets, outputs)
    for name, value in reported.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    assert len(reported) >= 2
    keras.backend.clear_session()


def test_scores_of_classes_are_those_of_the_reference():
    for task in (Classification(2), Classification(4)):
        labels, logits = answers(task)
        found = task.scores(labels, logits)
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        chances = chances[:, 1] if task.num_classes == 2 else chances
        said = logits.argmax(axis=1)
        assert found["auc"] == pytest.approx(
            reference.roc_auc_score(labels, chances, multi_class="ovr")
        )
        assert found["f1"] == pytest.approx(reference.f1_score(labels, said, average="macro"))
        assert found["balanced_accuracy"] == pytest.approx(
            reference.balanced_accuracy_score(labels, said)
        )
        assert found == pytest.approx(
            dataclasses.replace(task, one_hot=True).scores(
                np.eye(task.num_classes)[labels], logits
            )
        )


def test_scores_of_several_labels_are_those_of_the_reference():
    labels, logits = answers(MultiLabel(3))
    found = MultiLabel(3).scores(labels, logits)
    assert found["auc"] == pytest.approx(reference.roc_auc_score(labels, logits))
    assert found["f1"] == pytest.approx(
        reference.f1_score(labels, logits > 0, average="macro")
    )
    assert found["average_precision"] == pytest.approx(
        reference.average_precision_score(labels, logits)
    )


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_what_targets_leave_undefined_is_left_out_but_never_the_measure(task):
    for count in (1, 2):
        targets, outputs = (one[:count] for one in answers(task))
        targets = np.repeat(targets[:1], count, axis=0)
        assert task.scores(targets, outputs)[task.measure] <= 1
    targets = np.zeros_like(targets)
    if isinstance(task, Detection):
        targets -= 1
    found = task.scores(targets, outputs)
    assert task.measure in found
    assert "auc" not in found
    assert all(np.isfinite(score) for score in found.values())


def test_masks_to_be_ignored_throughout_have_no_loss():
    masks, logits = answers(Segmentation(3, ignore_class=255))
    found = Segmentation(3, ignore_class=255).scores(np.full_like(masks, 255), logits)
    assert found == {"mean_iou": 1.0}


def test_boxes_that_are_found_are_scored():
    task = Detection(2, image_shape=(SIZE, SIZE, 1))
    targets, outputs = answers(task)
    found = task.scores(targets, outputs)
    # Two objects in one cell of 4 pixels are one; all others are there.
    assert 0.5 < found["map50"] <= found["recall50"] + 0.1 <= 1.1
    assert task.scores(targets, outputs - 9 * (np.arange(6) < 2))["recall50"] == 0
    elsewhere = targets[..., [0, 1, 2, 3, 4]] * [0.5, 0.5, 0.5, 0.5, 1]
    assert task.scores(elsewhere, outputs)["map50"] < 0.1


def test_boxes_need_the_size_of_the_images():
    with pytest.raises(ValueError, match=r"Received: image_shape=None\."):
        Detection(2).encoded(np.zeros((1, 1, 5)))


def test_only_boxes_are_encoded():
    for task in TASKS:
        targets, _ = answers(task)
        if isinstance(task, Detection):
            assert task.encoded(targets).shape == (40, 4, 4, 6)
        else:
            assert task.encoded(targets) is targets


# --- quantities in their own unit ---


def test_scale_and_offset_have_one_form():
    assert Regression(2, scale=(3, 3), offset=[1, 2]) == Regression(
        2, scale=np.float32(3), offset=(1.0, 2.0)
    )
    assert hash(Regression(2, scale=[1, 2], offset=np.array([0, 0]))) is not None


def test_a_regression_ends_in_the_unit_of_its_targets():
    task = Regression(2, scale=(10.0, 30.0), offset=(5.0, -5.0))
    last = freeze(task.head(input_node((4,)))).layers[-1]
    assert (last.op, dict(last.settings)) == (
        "rescale",
        {"scale": (10.0, 30.0), "offset": (5.0, -5.0)},
    )
    assert freeze(Regression(2).head(input_node((4,)))).layers[-1].op == "dense"


def test_the_mean_alone_has_a_loss_of_1_whatever_the_unit():
    for unit in (1e-6, 1.0, 1e6):
        targets = np.random.default_rng(0).normal(3 * unit, unit, size=(50, 1))
        task = Regression(scale=float(targets.std()), offset=float(targets.mean()))
        found = task.scores(targets, np.full_like(targets, targets.mean()))
        assert found["loss"] == pytest.approx(1)
        assert found["r2"] == pytest.approx(0, abs=1e-9)


# --- groups to split by ---


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_every_example_has_a_group_of_two_or_more(task):
    targets, _ = answers(task)
    strata = task.strata(targets)
    assert (strata.shape, strata.dtype) == ((40,), np.int64)
    assert np.unique(strata, return_counts=True)[1].min() >= 2
    assert task.strata(targets[:1]).shape == (1,)


def test_quantities_are_split_from_small_to_large():
    targets = np.random.default_rng(0).normal(size=(50, 1))
    strata = Regression().strata(targets)
    assert np.bincount(strata).tolist() == [10] * 5
    assert (np.diff(strata[np.argsort(targets[:, 0])]) >= 0).all()
    assert set(Regression().strata(targets[:19])) == {0}


def test_groups_go_by_the_rarest_label_and_the_most_frequent_object():
    labels = np.array([[1, 0, 0]] * 5 + [[1, 0, 1]] * 3 + [[0, 0, 0]] * 2 + [[1, 1, 1]])
    # The only example of its group joins the largest.
    joined = MultiLabel(3).strata(labels)
    assert len(set(joined[:5])) == len(set(joined[5:8])) == len(set(joined[8:10])) == 1
    assert joined[10] == joined[0]
    masks = np.zeros((4, 2, 3), int)
    masks[:2, 0], masks[:2, 1, 1:], masks[2:, 0, 0] = 2, 1, 255
    assert Segmentation(3, 255).strata(masks).tolist() == [3, 3, 0, 0]
    boxes = np.zeros((4, 3, 5)) - 1
    boxes[:2, :, 4] = [1, 0, 1]
    assert Detection(2).strata(boxes).tolist() == [2, 2, 0, 0]


# --- targets that cannot be ---


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_good_targets_pass(task):
    targets, outputs = answers(task)
    shape = outputs.shape[1:] if isinstance(task, Segmentation) else targets.shape[1:]
    task.check(targets, shape)


@pytest.mark.parametrize(
    ("task", "targets", "said"),
    [
        (Classification(3), [[0, 1]], r"Received: shape \(1, 2\) for Classification\("),
        (Classification(3), [0, 3], r"from 0 to 2\. Received: \[3\]\."),
        (Classification(3), [0.5], r"Received: \[0\.5\]\."),
        (Classification(3), ["a"], r"Received: <U1\."),
        (Classification(2, one_hot=True), [[1, 1]], r"Received: a label \[1, 1\].*`MultiLab"),
        (MultiLabel(2), [[0, 2]], r"Received: \[2\]\."),
        (MultiLabel(2), [[0, 1, 1]], r"Received: shape \(1, 3\)"),
        (Regression(2), [1.0], r"shape \(n, 2\).* Received: shape \(1,\)"),
        (Regression(1), [[np.inf]], r"Received: NaN or infinity\."),
        (Regression(1), [[2019.0], [2020.0], [2021.0]], r"of 0\.816 .* from 0 to 2\.02e\+03"),
        (Regression(2), [[1.0, 900.0], [2.0, -900.0]], r"a deviation of 0\.5 .*-900 to 900"),
        (NextToken(5), [[0, 5, 1]], r"Tokens .* from 0 to 4\. Received: \[5\]\."),
        (NextToken(5), [[0, 1]], r"shape \(n, 3\).* Received: shape \(1, 2\)"),
        (Segmentation(2), [[[0, 1], [1, 2]]] * 2, r"from 0 to 1\. Received: \[2\]\."),
        (Segmentation(2, 255), [[[0, 9]] * 2], r"from 0 to 1, or 255\. Received: \[9\]\."),
        (Segmentation(2), [[[0, 1]]], r"masks of shape \(1, 2\) for images of 2x2\."),
        (Segmentation(2), [[[[0], [1]]] * 2], r"masks of shape \(2, 2, 1\)"),
        (
            Detection(2),
            [[[0, 0, 9, 9, 1]]],
            r"fractions of the image.*Received: \(0, 0, 9, 9\) in example 0,",
        ),
        (Detection(2), [[[0.5, 0, 0.5, 1, 1]]], r"has no area"),
        (Detection(2), [[[0, 0, 1, 1, 2]]], r"Classes of boxes .*Received: \[2\]\."),
        (Detection(2), [[0, 0, 1, 1]], r"shape \(n, any, 5\).* Received: shape \(1, 4\)"),
    ],
)
def test_targets_that_a_task_cannot_have_are_refused(task, targets, said):
    shapes = {Segmentation: (2, 2, 1), NextToken: (3,)}
    with pytest.raises(ValueError, match=said) as refused:
        task.check(np.array(targets), shapes.get(type(task), (8, 8, 1)))
    assert "\n" not in str(refused.value)


def test_padding_is_no_box():
    Detection(2).check(np.full((2, 3, 5), -1.0), (8, 8, 1))
    Detection(2).check(np.zeros((2, 0, 5)), (8, 8, 1))
