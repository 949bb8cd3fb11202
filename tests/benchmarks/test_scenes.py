"""Scenes show what their masks and boxes say."""

import os

import numpy as np
import pytest

from benchmarks import scenes


def blocks(number, side=12):
    """Bright squares of `side - 4` pixels, class 0, and tall bars, class 1."""
    labels = np.arange(number) % 2
    images = np.zeros((number, side, side), np.uint8)
    images[:, 2:-2, 2:-2] = 255
    images[labels == 1, :, :4] = 0
    return images, labels


@pytest.fixture(scope="module")
def composed():
    return scenes.compose(*blocks(40), 60, (40, 48), scale=(0.8, 1.5), seed=3)


def test_shapes_and_types_are_those_of_a_data_set(composed):
    images, masks, boxes = composed
    assert images.shape == (60, 40, 48, 1)
    assert images.dtype == np.uint8
    assert masks.shape == (60, 40, 48)
    assert masks.dtype == np.int32
    assert boxes.shape == (60, scenes.MOST, 5)
    assert boxes.dtype == np.float32
    assert set(np.unique(masks)) == {0, 1, 2}


def test_scenes_have_one_to_four_objects(composed):
    counts = (composed.boxes[..., 4] >= 0).sum(axis=1)
    assert set(counts) == {1, 2, 3, 4}


def test_rows_behind_the_last_object_are_padding(composed):
    present = composed.boxes[..., 4] >= 0
    assert (np.sort(present, axis=1)[:, ::-1] == present).all()
    assert (composed.boxes[~present] == -1).all()


def test_a_box_is_tight_around_what_is_seen_of_a_lone_object(composed):
    for mask, boxes in zip(composed.masks, composed.boxes, strict=True):
        for number in (0, 1):
            of_class = boxes[boxes[:, 4] == number]
            if len(of_class) != 1:
                continue
            rows, columns = np.nonzero(mask == number + 1)
            expected = [
                rows.min() / 40,
                columns.min() / 48,
                (rows.max() + 1) / 40,
                (columns.max() + 1) / 48,
            ]
            np.testing.assert_allclose(of_class[0, :4], expected, atol=1e-6)


def test_every_pixel_of_an_object_lies_in_a_box_of_its_class(composed):
    for mask, boxes in zip(composed.masks, composed.boxes, strict=True):
        covered = np.zeros((3, *mask.shape), bool)
        for top, left, bottom, right, number in boxes[boxes[:, 4] >= 0]:
            rows = slice(round(top * 40), round(bottom * 40))
            columns = slice(round(left * 48), round(right * 48))
            covered[int(number) + 1, rows, columns] = True
        for number in (1, 2):
            assert covered[number][mask == number].all()


def test_objects_are_seen_where_masks_say(composed):
    pixels = composed.images[..., 0].astype(float)
    for image, mask in zip(pixels, composed.masks, strict=True):
        assert image[mask > 0].mean() > image[mask == 0].mean() + 50


def test_most_of_an_object_is_seen():
    # All objects are squares of 8 pixels, so that what is hidden can be counted.
    images = np.zeros((4, 12, 12), np.uint8)
    images[:, 2:-2, 2:-2] = 255
    made = scenes.compose(images, np.arange(4), 40, (30, 30), scale=(1.0, 1.0), seed=1)
    for mask, boxes in zip(made.masks, made.boxes, strict=True):
        kinds, counts = np.unique(boxes[boxes[:, 4] >= 0, 4], return_counts=True)
        for number, count in zip(kinds, counts, strict=True):
            assert (mask == number + 1).sum() >= 0.85 * 64 * count - 1


def test_holes_belong_to_the_object():
    ring = np.zeros((1, 16, 16), np.uint8)
    ring[0, 2:14, 2:14] = 200
    ring[0, 6:10, 6:10] = 0
    made = scenes.compose(ring, np.array([0]), 1, (16, 16), scale=(1.0, 1.0))
    assert (made.masks[0] == 1).sum() == 12 * 12


def test_the_same_seed_makes_the_same_scenes():
    first, again, other = (
        scenes.compose(*blocks(8), 5, (32, 32), seed=seed) for seed in (0, 0, 1)
    )
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (first.images != other.images).any()


def test_objects_too_large_for_a_scene_are_refused():
    with pytest.raises(ValueError, match=r"must fit into a scene.*Received.*Use larger"):
        scenes.compose(*blocks(2), 1, (12, 12))


def test_digits_need_no_file():
    train, test = scenes.digits(20, 10)
    assert train.images.shape == (20, 32, 32, 1)
    assert test.boxes.shape == (10, 4, 5)
    assert train.boxes[..., 4].max() <= 9


def test_all_classes_are_alike_likely_however_many_pictures_they_have():
    images, labels = blocks(2000)
    few = np.concatenate([np.nonzero(labels == 0)[0], np.nonzero(labels == 1)[0][:10]])
    made = scenes.compose(images[few], labels[few], 400, (40, 40))
    counts = np.unique(made.boxes[..., 4], return_counts=True)[1]
    assert abs(counts[1] - counts[2]) < 4 * np.sqrt(counts[1] + counts[2])


@pytest.mark.skipif("KERASNAS_DATA" not in os.environ, reason="KERASNAS_DATA is not set")
def test_garments_are_of_a_kind_unless_asked_otherwise():
    kinds, _ = scenes.fashion(40, 1)
    garments, _ = scenes.fashion(40, 1, kinds=None)
    assert kinds.boxes[..., 4].max() == 4
    assert kinds.masks.max() == 5
    assert garments.boxes[..., 4].max() == 9
