import numpy as np
import pytest

from kerasnas import labels

BOX = [0.1, 0.2, 0.5, 0.6]


def boxes(*rows, classes=None):
    return {"boxes": [list(rows)], "labels": [classes or [0] * len(rows)]}


class Ragged:
    """As `tf.RaggedTensor` shows itself."""

    def __init__(self, rows):
        self.rows = rows

    def to_list(self):
        return self.rows


class TestObjects:
    stored = np.array([[[*BOX, 1], [0, 0, 1, 1, 0]], [[-1] * 5] * 2], np.float32)

    @pytest.mark.parametrize(
        "y",
        [
            {"boxes": [[BOX, [0, 0, 1, 1]], []], "labels": [[1, 0], []]},
            {"bbox": [[BOX, [0, 0, 1, 1]], []], "label": [[1, 0], []]},
            {"objects": {"bbox": [[BOX, [0, 0, 1, 1]], []], "label": [[1, 0], []]}},
            [{"boxes": [BOX, [0, 0, 1, 1]], "classes": [1, 0]}, {"boxes": [], "classes": []}],
            {
                "boxes": np.array([[BOX, [0, 0, 1, 1]], np.zeros((2, 4))]),
                "classes": np.array([[1, 0], [-1, -1]]),
            },
            {
                "boxes": Ragged([[BOX, [0, 0, 1, 1]], []]),
                "labels": Ragged([[1, 0], []]),
            },
            stored,
        ],
    )
    def test_of_every_form_are_stored_alike(self, y):
        found = labels.objects(labels.read(y, "data"), None, "data")
        np.testing.assert_array_equal(found, self.stored)
        assert found.dtype == np.float32

    def test_beyond_the_image_by_rounding_are_clipped(self):
        found = labels.objects(labels.read(boxes([0, 0, 1.00005, 1]), "data"), None, "data")
        assert found[0, 0].tolist() == [0, 0, 1, 1, 0]

    @pytest.mark.parametrize(
        ("y", "words"),
        [
            (boxes([12, 30, 40, 60]), r"\(12, 30, 40, 60\) in example 0.*like pixels.*Divide"),
            (boxes(BOX, [0.5, 0.5, 1.2, 0.9]), r"outside the image\. Clip"),
            (boxes([-0.1, 0, 1, 1]), r"outside the image\. Clip"),
            (boxes([0.5, 0.2, 0.1, 0.6]), r"ends before it begins\. Bring"),
            (boxes([0.5, 0.2, 0.5, 0.6]), r"no area\. Leave .*-1 marks padding"),
            (boxes([0.5, np.nan, 0.5, 0.6]), "not finite"),
            (boxes(BOX, classes=[0, 1]), r"1 boxes and 2 classes in\s+example 0"),
            (boxes(BOX, classes=[0.5]), r"whole numbers from 0.*Received: 0\.5"),
            (boxes(BOX, classes=[-2]), r"whole numbers from 0.*Received: -2"),
            (boxes([0.1, 0.2, 0.5]), r"four numbers each.*Received: \[\[0\.1, 0\.2, 0\.5\]\]"),
            ({"boxes": [[BOX]], "labels": [[0], [1]]}, "boxes of 1 images and classes of 2"),
            ({"boxes": [[BOX]], "scores": [[0]]}, r"Received: keys \['boxes', 'scores'\]"),
            (np.zeros((3, 2, 4)), r"boxes and their classes an image.*\(3, 2, 4\)"),
        ],
    )
    def test_that_are_none_get_a_sentence(self, y, words):
        with pytest.raises(ValueError, match=words):
            labels.objects(labels.read(y, "data"), None, "data")


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (
            np.zeros((2, 4, 5), int),
            r"size of its image.*\(4, 5\) and images of shape \(8, 6, 3",
        ),
        (np.zeros((2, 6, 8), int), r"by the nearest pixel"),
        (np.full((2, 8, 6), 0.25), r"whole numbers, one class a pixel.*Received: 0\.25"),
        (np.full((2, 8, 6), -1), r"0 or more\. Received: -1.*write 255"),
        (np.ones((2, 8, 6, 3), np.uint8), r"3 channels that are not one-hot.*colours"),
        (np.zeros(2, int), r"a class number for each pixel.*shape \(2,\)"),
    ],
)
def test_masks_that_are_none_get_a_sentence(y, words):
    with pytest.raises(ValueError, match=words):
        labels.masks(labels.read(y, "data"), (8, 6, 3), "data")


class NAType:
    """As pandas marks what is missing."""


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([], "must not be empty"),
        (np.zeros((0, 3)), "must not be empty"),
        ([1.0, np.nan], "must be finite"),
        ([0, None, 1], r"Received: a number \(0\), a missing value \(None\)"),
        (np.array(["a", np.nan], object), r"a text \('a'\), a missing value \(nan\)"),
        (np.array([1, NAType()], object), "a missing value"),
        (["a", 1], r"a text \('a'\), a number \(1\)"),
        (["a", ""], r"must not be empty\. Received: an empty text"),
        ([["a", "b"], ["a"]], r"lists of several lengths.*one column a class"),
    ],
)
def test_labels_that_are_none_get_a_sentence(y, words):
    with pytest.raises(ValueError, match=words):
        labels.read(y, "data")


def test_dates_are_no_labels():
    with pytest.raises(TypeError, match=r"numbers or texts.*datetime64"):
        labels.read(np.array(["2026-11-24"], "M8[D]"), "data")


def test_numbers_in_objects_are_numbers():
    assert labels.read(np.array([1, 2.5], object), "data").tolist() == [1, 2.5]
    assert labels.read([True, False], "data").dtype == bool
