import numpy as np
import pytest

from search_spaces.box_metrics import (
    COCO_IOUS,
    average_precisions,
    matched,
    mean_average_precision,
)

UNIT = [0.0, 0.0, 0.4, 0.4]


def problem(seed, images=30, most=5, found=12, classes=3):
    """Objects, and boxes that are near some of them, one too often and of a wrong class."""
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.1, 0.5, (images, most, 2))
    corners = rng.uniform(0, 1 - sizes)
    labels = rng.integers(-1, classes, (images, most))
    labels[0] = -1
    targets = np.concatenate([corners, corners + sizes, labels[..., None]], -1)
    pick = rng.integers(most, size=(images, found))
    near = np.take_along_axis(targets[..., :4], pick[..., None], 1)
    boxes = near + rng.normal(0, 0.03, (images, found, 4))
    right = np.take_along_axis(labels, pick, 1)
    others = rng.random((images, found)) < 0.7, rng.integers(0, classes, (images, found))
    scores = -np.sort(-rng.random((images, found)), 1)
    return targets, boxes, scores, np.where(others[0], right, others[1])


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        # COCOeval of pycocotools 2.0.11 on the same boxes: mAP at 0.5:0.95, 0.5 and 0.75.
        (0, (0.22679002, 0.51393781, 0.17842592)),
        (1, (0.18905414, 0.40976332, 0.15883991)),
    ],
)
def test_mean_average_precision_is_that_of_coco(seed, expected):
    found = [
        mean_average_precision(*problem(seed), num_classes=3, ious=ious)
        for ious in (COCO_IOUS, (0.5,), (0.75,))
    ]
    assert found == pytest.approx(expected, abs=1e-8)


def test_a_class_without_an_object_has_no_precision():
    found = average_precisions(*problem(0), num_classes=5, ious=(0.5, 0.75))
    assert found.shape == (5, 2)
    assert np.isnan(found).tolist() == [[False] * 2] * 3 + [[True] * 2] * 2
    assert np.nanmean(found[:, 0]) == pytest.approx(0.51393781, abs=1e-8)


def test_an_object_is_found_once_by_the_best_box_that_overlaps_enough():
    targets = [[[*UNIT, 0], [0.5, 0.5, 0.9, 0.9, 1]]]
    boxes = [[[0.0, 0.0, 0.4, 0.3], UNIT, [0.5, 0.5, 0.9, 0.9], [0.5, 0.5, 0.9, 0.6]]]
    classes = [[0, 0, 0, 1]]
    right = matched(targets, boxes, classes, ious=(0.5, 0.7, 0.8))
    # An overlap of 3/4 is enough for 0.5 and 0.7; of 1/4 for none; another class never is.
    assert right[0].astype(int).tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_precision_is_the_best_from_each_recall_on():
    # Right, wrong, right, of three objects: 1 up to a recall of 1/3, 2/3 up to 2/3, then 0.
    targets = [[[*UNIT, 0]], [[*UNIT, 0]], [[*UNIT, 0]]]
    boxes = [[UNIT], [[0.6, 0.6, 0.9, 0.9]], [UNIT]]
    found = average_precisions(
        targets, boxes, [[0.9], [0.8], [0.7]], [[0], [0], [0]], num_classes=1
    )
    assert found[0, 0] == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)


def test_boxes_where_nothing_is_cost_precision():
    def precision(score):
        targets = [[[*UNIT, 0]], [[0, 0, 0, 0, -1]]]
        boxes, scores = [[UNIT], [UNIT]], [[0.5], [score]]
        return mean_average_precision(
            targets, boxes, scores, [[0], [0]], num_classes=1, ious=(0.5,)
        )

    assert precision(0.4) == 1
    assert precision(0.6) == pytest.approx(0.5)


def test_without_any_object_the_right_answer_is_none():
    for most in (0, 2):
        targets = np.full((1, most, 5), -1.0)
        for label, expected in [(-1, 1.0), (0, 0.0)]:
            assert expected == mean_average_precision(
                targets, [[UNIT]], [[0.9]], [[label]], num_classes=1
            )


def test_no_box_at_all_has_a_precision_of_zero():
    nothing = (np.zeros((1, 0, 4)), np.zeros((1, 0)), np.zeros((1, 0)))
    assert mean_average_precision([[[*UNIT, 0]]], *nothing, num_classes=1) == 0
