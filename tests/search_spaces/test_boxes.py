import math

import numpy as np
import pytest

from search_spaces import boxes as module
from search_spaces.boxes import decode, decode_batch, encode, encode_boxes

IMAGE = (64, 96, 3)


def encoded_by_hand(objects, num_classes, image_shape, stride):
    """The grid of one image, written out cell by cell."""
    rows, columns = (-(-side // stride) for side in image_shape[:2])
    grid = np.zeros((rows, columns, num_classes + 4))
    smallest = {}
    for top, left, bottom, right, label in objects:
        if label < 0:
            continue
        height, width = (
            (bottom - top) * image_shape[0] / stride,
            (right - left) * image_shape[1] / stride,
        )
        down = (top + bottom) / 2 * image_shape[0] / stride
        along = (left + right) / 2 * image_shape[1] / stride
        cell = (int(down), int(along))
        # The largest shift both ways that leaves an intersection over union of 0.7.
        shifts = np.linspace(0, min(height, width), 200_001)
        common = (height - shifts) * (width - shifts)
        radius = shifts[common / (2 * height * width - common) >= 0.7].max()
        for row in range(rows):
            for column in range(columns):
                square = (row - cell[0]) ** 2 + (column - cell[1]) ** 2
                heat = math.exp(-square / (2 * ((2 * radius + 1) / 6) ** 2))
                grid[row, column, int(label)] = max(grid[row, column, int(label)], heat)
        if height * width < smallest.get(cell, math.inf):
            smallest[cell] = height * width
            grid[cell][num_classes:] = (
                math.log2(height),
                math.log2(width),
                down - cell[0],
                along - cell[1],
            )
    return grid


def random_predictions(rng, count, shape=(16, 24), num_classes=3):
    predictions = rng.normal(0, 2, size=(count, *shape, num_classes + 4))
    predictions[..., num_classes : num_classes + 2] = rng.normal(1.5, 0.7, (count, *shape, 2))
    return predictions.astype("float32")


def decoded_by_hand(prediction, image_shape, stride, threshold, max_boxes, iou):
    """The boxes of one image, one after another."""
    rows, columns, channels = prediction.shape
    found = []
    for row in range(rows):
        for column in range(columns):
            for label in range(channels - 4):
                around = prediction[
                    max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, label
                ]
                score = 1 / (1 + math.exp(-prediction[row, column, label]))
                if prediction[row, column, label] < around.max() or score < threshold:
                    continue
                size = 2 ** prediction[row, column, -4:-2].astype(float)
                centre = np.clip(prediction[row, column, -2:].astype(float), 0, 1)
                middle = centre + np.array([row, column])
                corners = [middle - size / 2, middle + size / 2]
                scale = stride / np.array(image_shape[:2])
                box = np.clip(np.concatenate([one * scale for one in corners]), 0, 1)
                found.append((score, label, box))
    kept = []
    for score, label, box in sorted(found, key=lambda one: -one[0]):
        rivals = [other for _, kind, other in kept if kind == label]
        if len(kept) < max_boxes and all(overlap(box, other) <= iou for other in rivals):
            kept.append((score, label, box))
    return kept


def overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = np.maximum(sides, 0).prod()
    areas = sum((box[2:] - box[:2]).prod() for box in (one, other))
    return common / (areas - common)


@pytest.mark.parametrize("stride", [4, 8])
def test_boxes_come_back_from_their_target(stride, as_prediction, random_boxes):
    rng = np.random.default_rng(0)
    # One a quarter, so that no two share a cell.
    boxes = random_boxes(rng, 4) / 2 + [[0, 0, 0, 0], [0, 0.5] * 2, [0.5, 0] * 2, [0.5] * 4]
    classes = np.array([2, 0, 1, 2])
    target = encode_boxes(boxes, classes, num_classes=3, image_shape=IMAGE, stride=stride)
    assert target.shape == (64 // stride, 96 // stride, 3 + 4)
    found, scores, labels = decode(as_prediction(target, 3), IMAGE, threshold=0.9)
    order = np.lexsort(found.T)
    expected = np.lexsort(boxes.T)
    np.testing.assert_allclose(found[order], boxes[expected], atol=1e-6)
    np.testing.assert_array_equal(labels[order], classes[expected])
    assert (scores > 0.99).all()


def test_odd_images_have_cells_that_are_cut_off(as_prediction):
    boxes = [[0.9, 0.9, 1.0, 1.0]]
    target = encode_boxes(boxes, [0], num_classes=1, image_shape=(33, 21, 1))
    assert target.shape == (9, 6, 5)
    found, _, _ = decode(as_prediction(target, 1), (33, 21, 1))
    np.testing.assert_allclose(found, boxes, atol=1e-6)


def test_an_image_without_objects_has_an_empty_target():
    target = encode_boxes([], [], num_classes=2, image_shape=IMAGE)
    assert target.shape == (16, 24, 6)
    assert not target.any()
    assert [len(part) for part in decode(target - 9, IMAGE)] == [0, 0, 0]


def test_heat_falls_off_with_the_size_of_the_box():
    def heat(side):
        box = [0.5 - side / 2, 0.5 - side / 2, 0.5 + side / 2, 0.5 + side / 2]
        target = encode_boxes([box], [0], num_classes=1, image_shape=(128, 128))
        assert target[16, 16, 0] == 1
        return target[16, 18, 0]

    assert 0 <= heat(0.05) < heat(0.2) < heat(0.8) < 1


def test_moved_by_the_radius_a_box_still_overlaps_by_seven_tenths():
    # Three deviations of the Gaussian are the radius and half a cell.
    side = 0.5
    box = [[0.25, 0.25, 0.75, 0.75]]
    target = encode_boxes(box, [0], num_classes=1, image_shape=(256, 256))
    deviation = 1 / math.sqrt(-2 * math.log(target[32, 33, 0]))
    radius = (6 * deviation - 1) / 2 / 64
    common = (side - radius) ** 2
    assert common / (2 * side**2 - common) == pytest.approx(0.7, abs=1e-3)


def test_of_two_objects_in_a_cell_the_box_is_the_smaller_ones():
    boxes = [[0.1, 0.1, 0.2, 0.2], [0.0, 0.0, 0.3, 0.3]]
    target = encode_boxes(boxes, [0, 1], num_classes=2, image_shape=(64, 64))
    cell = target[2, 2]
    assert cell[:2].tolist() == [1, 1]
    np.testing.assert_allclose(cell[2:4], math.log2(0.1 * 64 / 4), rtol=1e-5)


def test_of_boxes_that_overlap_the_best_of_each_class_stays(as_prediction):
    boxes = [[0.2, 0.2, 0.6, 0.6], [0.25, 0.3, 0.65, 0.7], [0.25, 0.3, 0.65, 0.7]]
    target = encode_boxes(boxes, [0, 0, 1], num_classes=2, image_shape=(64, 64))
    prediction = as_prediction(target, 2)
    rival = np.argwhere(target[..., 0] == 1)[-1]
    prediction[rival[0], rival[1], 0] -= 2
    _, scores, classes = decode(prediction, (64, 64), iou=0.4)
    assert sorted(classes.tolist()) == [0, 1]
    assert len(decode(prediction, (64, 64), iou=0.9)[0]) == 3
    assert len(decode(prediction, (64, 64), iou=0.9, max_boxes=2)[0]) == 2
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize(
    ("boxes", "classes", "said"),
    [
        ([[0, 0, 1, 1]], [0, 1], "1 boxes and 2 classes"),
        ([[0, 0, 1, 1]], [2], r"from 0 to 1\. Received: \[2\]"),
        ([[0, 0, 64, 64]], [0], "looks like pixels. Divide by height and width"),
        ([[0.5, 0.5, 0.5, 0.9]], [0], "no area. Leave such boxes out"),
    ],
)
def test_what_is_no_box_is_refused(boxes, classes, said):
    with pytest.raises(ValueError, match=said):
        encode_boxes(boxes, classes, num_classes=2, image_shape=IMAGE)


def test_a_prediction_of_another_image_is_refused():
    with pytest.raises(ValueError, match=r"Received: 16x24 cells for an image of 96x64"):
        decode(np.zeros((16, 24, 5)), (96, 64))
    with pytest.raises(ValueError, match=r"Decode one image at a time"):
        decode(np.zeros((2, 16, 24, 5)), IMAGE)


@pytest.mark.parametrize("stride", [4, 8])
def test_many_images_are_encoded_as_the_definition_says(stride, random_boxes):
    rng = np.random.default_rng(3)
    objects = np.concatenate(
        [random_boxes(rng, 12).reshape(3, 4, 4), rng.integers(-1, 2, size=(3, 4, 1))], axis=-1
    )
    objects[2, :, 4] = -1
    grids = encode(objects, num_classes=2, image_shape=IMAGE, stride=stride)
    assert grids.dtype == np.float32
    for grid, rows in zip(grids, objects, strict=True):
        expected = encoded_by_hand(rows, 2, IMAGE, stride)
        np.testing.assert_allclose(grid, expected, atol=1e-4)
        assert set(np.argwhere(grid == 1)[:, 2]) == set(rows[rows[:, 4] >= 0, 4])


def test_what_has_moved_out_of_the_image_is_padding():
    objects = [[[0.5, 0.5, 0.5, 0.9, 0], [1.0, 0.2, 1.0, 0.4, 0]]]
    assert not encode(objects, num_classes=1, image_shape=IMAGE).any()
    assert encode(np.zeros((2, 0, 5)), num_classes=1, image_shape=IMAGE).shape == (
        2,
        16,
        24,
        5,
    )


@pytest.mark.parametrize("max_boxes", [100, 3])
@pytest.mark.parametrize(("threshold", "iou"), [(0.3, 0.5), (0.01, 0.1)])
def test_many_images_are_decoded_as_each_by_hand(monkeypatch, threshold, iou, max_boxes):
    monkeypatch.setattr(module, "_CHUNK", 2)
    predictions = random_predictions(np.random.default_rng(4), 3)
    predictions[1] -= 20 * (np.arange(7) < 3)  # nothing there
    boxes, scores, classes = decode_batch(
        predictions, IMAGE, threshold=threshold, max_boxes=max_boxes, iou=iou
    )
    counts = (classes >= 0).sum(axis=1)
    assert counts[1] == 0
    assert boxes.shape == (3, counts.max(), 4)
    for index, prediction in enumerate(predictions):
        count = counts[index]
        expected = decoded_by_hand(prediction, IMAGE, 4, threshold, max_boxes, iou)
        assert classes[index, :count].tolist() == [label for _, label, _ in expected]
        np.testing.assert_allclose(
            scores[index, :count], [score for score, _, _ in expected], rtol=1e-5
        )
        np.testing.assert_allclose(
            boxes[index, :count].reshape(-1, 4),
            np.reshape([box for _, _, box in expected], (-1, 4)),
            atol=1e-6,
        )
        assert not boxes[index, count:].any()


def test_no_image_has_no_box():
    boxes, scores, classes = decode_batch(np.zeros((0, 16, 24, 5)), IMAGE)
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 0, 4), (0, 0), (0, 0))
    with pytest.raises(ValueError, match=r"Received: shape \(16, 24, 5\)\."):
        decode_batch(np.zeros((16, 24, 5)), IMAGE)
