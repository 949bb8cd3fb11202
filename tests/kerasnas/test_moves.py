import numpy as np
import pytest
import tensorflow as tf

from kerasnas import moves

SIDE = 40


def one_move(**values):
    """A move of a single image; what is not given is left as it is."""
    still = {"angle": 0.0, "zoom_y": 1.0, "zoom_x": 1.0, "shift_y": 0.0, "shift_x": 0.0}
    return moves.Move(**{k: tf.constant([v], tf.float32) for k, v in (still | values).items()})


def drawn(amount=1.0, count=60, **settings):
    settings = {"mirror": True, "turn": False} | settings
    return moves.draw(count, (0, 7), amount, **settings)


def rectangles(count=60, seed=0):
    """White rectangles on black; the images, the masks and the boxes."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, SIDE, SIDE), "int32")
    boxes = np.zeros((count, 2, 5), "float32")
    boxes[:, 1, 4] = -1
    for mask, box in zip(masks, boxes, strict=True):
        top, left = rng.integers(0, SIDE - 20, 2)
        height, width = rng.integers(8, 20, 2)
        mask[top : top + height, left : left + width] = 3
        box[0] = [top, left, top + height, left + width, 0]
        box[0, :4] /= SIDE
    return (masks[..., None] > 0).astype("float32"), masks, boxes


def edges(image):
    """Top, left, bottom and right of what is white, in shares."""
    rows, columns = (np.flatnonzero(image.max(axis=axis) > 0.5) for axis in (1, 0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / len(image)


class TestImages:
    def test_a_shift_by_whole_pixels_is_a_slice(self):
        x = np.random.default_rng(0).normal(size=(1, 10, 20, 3)).astype("float32")
        moved = moves.move_images(x, one_move(shift_y=0.2, shift_x=-0.1)).numpy()
        np.testing.assert_allclose(moved[:, :8, 2:], x[:, 2:, :-2], atol=1e-5)
        np.testing.assert_allclose(moved[:, 8:, 2:], x[:, [-1, -1], :-2], atol=1e-5)

    def test_mirroring_twice_changes_nothing(self):
        x = np.random.default_rng(0).normal(size=(1, 7, 10, 1)).astype("float32")
        once = moves.move_images(x, one_move(zoom_x=-1.0))
        np.testing.assert_allclose(once, x[:, :, ::-1], atol=1e-5)

    def test_the_centre_stays_under_turning_and_scaling(self):
        x = np.zeros((1, 9, 9, 1), "float32")
        x[0, 4, 4] = 1
        moved = moves.move_images(x, one_move(angle=0.4, zoom_y=0.5, zoom_x=-0.7)).numpy()
        assert moved[0, 4, 4, 0] == pytest.approx(1, abs=1e-5)

    def test_half_are_mirrored(self):
        assert 0.3 < np.mean(drawn(count=200).zoom_x.numpy() < 0) < 0.7
        assert (drawn(count=200, mirror=False).zoom_x.numpy() > 0).all()

    def test_without_amount_nothing_moves(self):
        still = one_move()
        for value, expected in zip(drawn(0.0, mirror=False), still, strict=True):
            np.testing.assert_allclose(value, np.full(60, expected[0]))


class TestMasks:
    def test_masks_move_with_their_images(self):
        images, masks, _ = rectangles()
        move = drawn(turn=True)
        seen = moves.move_images(images, move).numpy()[..., 0]
        moved = moves.move_masks(masks, move)
        assert moved.dtype == tf.int32
        sure = abs(seen - 0.5) > 0.3  # not on an edge
        np.testing.assert_array_equal(moved.numpy()[sure] == 3, seen[sure] > 0.5)
        assert sure.mean() > 0.9

    @pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
    def test_pixels_from_outside_are_ignored_or_repeat_the_edge(self, dtype):
        masks = np.arange(16, dtype=dtype).reshape(1, 4, 4)
        move = one_move(shift_x=0.25)
        repeated = moves.move_masks(masks, move).numpy()
        np.testing.assert_array_equal(repeated, masks[:, :, [1, 2, 3, 3]])
        ignored = moves.move_masks(masks, move, 255).numpy()
        np.testing.assert_array_equal(ignored[:, :, :3], masks[:, :, 1:])
        assert (ignored[:, :, 3] == 255).all()
        assert ignored.dtype == dtype

    def test_no_class_comes_up_that_was_not_there(self):
        masks = np.random.default_rng(0).choice([0, 2, 9], (60, 12, 15)).astype("int32")
        moved = moves.move_masks(masks, drawn(turn=True)).numpy()
        assert set(np.unique(moved)) == {0, 2, 9}


class TestBoxes:
    def test_boxes_move_with_their_images(self):
        images, _, boxes = rectangles()
        move = drawn()
        seen = moves.move_images(images, move).numpy()[..., 0]
        moved = moves.move_boxes(boxes, move).numpy()
        assert moved.shape == boxes.shape
        compared = 0
        for image, (box, _) in zip(seen, moved, strict=True):
            if box[4] < 0:
                continue
            compared += 1
            # To half a pixel: a rectangle that is read between pixels has soft edges.
            np.testing.assert_allclose(box[:4], edges(image), atol=0.51 / SIDE)
        assert compared > 50

    def test_mirroring_is_exact(self):
        box = np.array([[[0.1, 0.2, 0.4, 0.9, 5.0]]], "float32")
        moved = moves.move_boxes(box, one_move(zoom_x=-1.0)).numpy()
        np.testing.assert_allclose(moved, [[[0.1, 0.1, 0.4, 0.8, 5.0]]], atol=1e-6)

    def test_what_touches_the_edge_still_does(self):
        image = np.zeros((1, SIDE, SIDE, 1), "float32")
        image[:, :10, 30:] = 1
        box = np.array([[[0.0, 0.75, 0.25, 1.0, 5.0]]], "float32")
        move = one_move(shift_y=-0.1, shift_x=0.1, zoom_x=-1.0)
        moved = moves.move_boxes(box, move).numpy()[0, 0]
        seen = moves.move_images(image, move).numpy()[0, ..., 0]
        np.testing.assert_allclose(moved[:4], edges(seen), atol=1e-6)
        assert moved[0] == 0

    def test_boxes_are_cut_at_the_edge_and_dropped_where_little_is_left(self):
        boxes = np.array(
            [[[0.02, 0.0, 0.2, 0.5, 1.0], [0.1, 0.5, 0.5, 1.0, 2.0], [0, 0, 0, 0, -1]]],
            "float32",
        )
        moved = moves.move_boxes(boxes, one_move(shift_y=0.15)).numpy()
        np.testing.assert_allclose(
            moved,
            [[[0, 0, 0, 0, -1], [0.0, 0.5, 0.35, 1.0, 2.0], [0, 0, 0, 0, -1]]],
            atol=1e-6,
        )

    def test_boxes_stay_in_the_image_with_some_area(self):
        moved = moves.move_boxes(rectangles()[2], drawn()).numpy()
        real = moved[moved[..., 4] >= 0][:, :4]
        assert real.min() >= 0
        assert real.max() <= 1
        assert (real[:, 2:] > real[:, :2]).all()
