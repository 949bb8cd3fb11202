"""Moves: where the pixels, masks and boxes of varied images come from."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

__all__ = ["Move", "draw", "move_boxes", "move_images", "move_masks", "read_in_time"]

_ANGLE, _ZOOM, _SHIFT = math.radians(8), 0.1, 0.1
_LEAST_LEFT = 0.3  # share of a box that must stay in the image
_TOUCHES = 0.01  # share of the image within which a side is at its edge
_FAR = 10.0  # shares of the image: outside wherever it moves


class Move(NamedTuple):
    """How each image of a batch is moved; all of shape (batch,).

    A pixel of the moved image is read from the image where `angle` and `zoom`, about the
    centre, and then `shift` lead. Lengths are in shares of the image, so that one move serves
    images of several sizes, and what is drawn in them.

    Attributes:
        angle: Radians.
        zoom_y: Factor down the image; above 1 makes it smaller, below 0 turns it upside down.
        zoom_x: The same across; below 0 mirrors.
        shift_y: Share of the height.
        shift_x: Share of the width.
    """

    angle: tf.Tensor
    zoom_y: tf.Tensor
    zoom_x: tf.Tensor
    shift_y: tf.Tensor
    shift_x: tf.Tensor


def draw(
    count: tf.Tensor, seed: tf.Tensor, amount: float, *, mirror: bool, turn: bool = True
) -> Move:
    """Draw a move for each of `count` images.

    Args:
        count: Number of images.
        seed: Of shape (2,); the same moves them alike.
        amount: 1 turns by up to 8 degrees, scales by up to 10 % along each axis and shifts by
            up to 10 %; less does less, 0 nothing.
        mirror: Whether half of the images are mirrored, left to right.
        turn: Whether images are turned at all.
    """
    drawn = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle = drawn[0] * (_ANGLE * amount * turn)
    zoom_x, zoom_y = (tf.exp(drawn[i] * (_ZOOM * amount)) for i in (1, 2))
    if mirror:
        zoom_x *= tf.where(drawn[5] < 0, -1.0, 1.0)
    return Move(
        angle, zoom_y, zoom_x, drawn[4] * (_SHIFT * amount), drawn[3] * (_SHIFT * amount)
    )


def move_images(images: tf.Tensor, move: Move) -> tf.Tensor:
    """Move images `(batch, height, width, channels)`; float32, the edge repeated outside."""
    images = tf.cast(images, tf.float32)
    return _resampled(images, _matrix(move, *images.shape[1:3]), "BILINEAR", "NEAREST", 0)


def move_masks(masks: tf.Tensor, move: Move, outside: int | None = None) -> tf.Tensor:
    """Move masks like images: whole numbers `(batch, height, width)`, as they were.

    Args:
        masks: A class for each pixel.
        move: That of the images.
        outside: Class of pixels that come from outside; `None` repeats the edge, as images
            do.
    """
    moved = _resampled(
        masks[..., tf.newaxis],
        _matrix(move, *masks.shape[1:3]),
        "NEAREST",
        "NEAREST" if outside is None else "CONSTANT",
        0 if outside is None else outside,
    )
    return moved[..., 0]


def move_boxes(boxes: tf.Tensor, move: Move) -> tf.Tensor:
    """Move boxes exactly as images that are not turned, and cut them at the edge.

    Args:
        boxes: `(batch, most, 5)`: top, left, bottom and right as fractions of the image, then
            the class; rows of class -1 are padding.
        move: That of the images. Its angles must be 0: a turned box is none.

    Returns:
        Boxes of the same shape. Those of which less than three tenths stay in the image
        become padding. The side of a box that was at the edge stays there, as the edge is
        repeated outside.
    """
    label = boxes[..., 4]
    corners = _moved_corners(boxes[..., :4], move)
    left_over = _area(tf.clip_by_value(corners, 0.0, 1.0))
    kept = (label >= 0) & (left_over > 0) & (left_over >= _LEAST_LEFT * _area(corners))
    # As the edge is repeated outside, so is what touches it.
    first, last = boxes[..., :2], boxes[..., 2:4]
    first = tf.where(first <= _TOUCHES, -_FAR, first)
    last = tf.where(last >= 1 - _TOUCHES, _FAR, last)
    shown = _moved_corners(tf.concat([first, last], axis=-1), move)
    shown = tf.clip_by_value(shown, 0.0, 1.0)
    shown = tf.where(kept[..., tf.newaxis], shown, 0.0)
    return tf.concat([shown, tf.where(kept, label, -1.0)[..., tf.newaxis]], axis=-1)


def read_in_time(x: tf.Tensor, zoom: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Read `(batch, length, width, channels)` at `zoom * i + start` along its first axis.

    Args:
        x: What is read; in between linearly, with the ends repeated outside.
        zoom: Places a step, `(batch,)`; below 1 stretches.
        start: Place of the first step, `(batch,)`.
    """
    one, zero = tf.ones_like(zoom), tf.zeros_like(zoom)
    matrix = tf.stack([one, zero, zero, zero, zoom, start, zero, zero], axis=1)
    return _resampled(tf.cast(x, tf.float32), matrix, "BILINEAR", "NEAREST", 0)


def _matrix(move: Move, height: int, width: int) -> tf.Tensor:
    """Eight numbers an image: output pixel (x, y) is read at `matrix * (x, y, 1)`."""
    x, y = (width - 1) / 2, (height - 1) / 2
    a, b = tf.cos(move.angle) * move.zoom_x, -tf.sin(move.angle) * move.zoom_y
    c, d = tf.sin(move.angle) * move.zoom_x, tf.cos(move.angle) * move.zoom_y
    x0 = x * (1 - a) - y * b + move.shift_x * width
    y0 = y * (1 - d) - x * c + move.shift_y * height
    zero = tf.zeros_like(a)
    return tf.stack([a, b, x0, c, d, y0, zero, zero], axis=1)


def _resampled(
    images: tf.Tensor, matrix: tf.Tensor, between: str, beyond: str, outside: int
) -> tf.Tensor:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrix,
        output_shape=list(images.shape[1:3]),  # static, for what follows
        fill_value=float(outside),
        interpolation=between,
        fill_mode=beyond,
    )


def _moved_corners(corners: tf.Tensor, move: Move) -> tf.Tensor:
    top, left, bottom, right = tf.unstack(corners, axis=-1)
    top, bottom = _ends(top, bottom, move.zoom_y, move.shift_y)
    left, right = _ends(left, right, move.zoom_x, move.shift_x)
    return tf.stack([top, left, bottom, right], axis=-1)


def _ends(
    first: tf.Tensor, last: tf.Tensor, zoom: tf.Tensor, shift: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Where intervals `(batch, most)`, in shares of an axis, are after the move."""
    zoom, shift = zoom[:, tf.newaxis], shift[:, tf.newaxis]
    start = (1 - zoom) / 2 + shift
    first, last = (first - start) / zoom, (last - start) / zoom
    return tf.minimum(first, last), tf.maximum(first, last)


def _area(corners: tf.Tensor) -> tf.Tensor:
    sides = corners[..., 2:] - corners[..., :2]
    return sides[..., 0] * sides[..., 1]
