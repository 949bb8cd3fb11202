"""Light random variation of training examples; it never enters the exported graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

__all__ = ["augmentation"]

Vary = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

_ANGLE, _ZOOM, _SHIFT = math.radians(8), 0.1, 0.1
_MASKED = 0.15  # share of the frames, and of the bands, that are hidden at most
_JITTER = 0.05  # share of a channel's deviation


def augmentation(
    shape: Sequence[int], strength: float = 1.0, layout: str = "images"
) -> Vary | None:
    """How examples are varied, for `Examples.dataset(map_batch=...)`.

    | layout     | what varies                                                              |
    |------------|--------------------------------------------------------------------------|
    | `"images"` | turned by up to 8 degrees, scaled by 10 % along each axis, moved by 10 %;|
    |            | colour images of at least 24 pixels are mirrored too: they are mostly    |
    |            | photographs, where small grey ones are often characters                  |
    | `"audio"`  | moved and stretched in time by up to 10 %, a band of frequencies and a   |
    |            | span of frames of up to 15 % each hidden behind the mean (SpecAugment)   |
    | `"series"` | noise of 5 % of a channel's deviation; by how much it may be stretched   |
    |            | or scaled depends on what it measures                                    |
    | `"table"`  | nothing                                                                  |

    What moves is resampled once, with the edge repeated outside.

    Args:
        shape: Shape of one example.
        strength: 1 for the above, less for less.
        layout: What the axes are, as in `data.load`.

    Returns:
        A function from a batch and a seed of shape (2,) to the batch, varied, float32; `None`
        where nothing varies.

    Reference:
        Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
        Recognition", Interspeech 2019, https://arxiv.org/abs/1904.08779.
    """
    if layout == "images":
        return _images(shape, strength)
    if layout == "audio":
        return _audio(shape, strength)
    return _series(shape, strength) if layout == "series" else None


def _images(shape: Sequence[int], strength: float) -> Vary:
    height, width, channels = shape
    mirrored = channels == 3 and min(height, width) >= 24
    center = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)

    def vary(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draw = tf.random.stateless_uniform((6, tf.shape(images)[0]), seed, -1.0, 1.0)
        angle = draw[0] * _ANGLE * strength
        zoom_x, zoom_y = (tf.exp(draw[i] * _ZOOM * strength) for i in (1, 2))
        if mirrored:
            zoom_x *= tf.sign(draw[5])
        # Output pixel (x, y) is read at matrix * (x, y) + offset; the centre stays but for
        # the shift.
        a, b = tf.cos(angle) * zoom_x, -tf.sin(angle) * zoom_y
        c, d = tf.sin(angle) * zoom_x, tf.cos(angle) * zoom_y
        x0 = center[0] * (1 - a) - center[1] * b + draw[3] * _SHIFT * strength * width
        y0 = center[1] * (1 - d) - center[0] * c + draw[4] * _SHIFT * strength * height
        return _resampled(images, a, b, x0, c, d, y0)

    return vary


def _audio(shape: Sequence[int], strength: float) -> Vary:
    frames, bands, _ = shape
    move = _in_time(frames, strength)

    def vary(features: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        features = move(features, seed)
        count = tf.shape(features)[0]
        other = tf.random.experimental.stateless_fold_in(seed, 1)
        draw = tf.random.stateless_uniform((4, count), other)
        hidden = tf.logical_or(
            _span(frames, draw[0], draw[1] * _MASKED * strength)[:, :, tf.newaxis],
            _span(bands, draw[2], draw[3] * _MASKED * strength)[:, tf.newaxis, :],
        )
        mean = tf.reduce_mean(features, axis=(1, 2), keepdims=True)
        return tf.where(hidden[..., tf.newaxis], mean, features)

    return vary


def _series(shape: Sequence[int], strength: float) -> Vary:
    def vary(series: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        series = tf.cast(series, tf.float32)
        noise = tf.random.stateless_normal(tf.shape(series), seed)
        deviation = tf.math.reduce_std(series, axis=1, keepdims=True)
        return series + noise * deviation * _JITTER * strength

    return vary


def _in_time(length: int, strength: float) -> Vary:
    """Stretch and move `(batch, length, width, channels)` along its first axis."""

    def vary(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draw = tf.random.stateless_uniform((2, tf.shape(x)[0]), seed, -1.0, 1.0)
        zoom = tf.exp(draw[0] * _ZOOM * strength)
        start = (length - 1) / 2 * (1 - zoom) + draw[1] * _SHIFT * strength * length
        one, zero = tf.ones_like(zoom), tf.zeros_like(zoom)
        return _resampled(x, one, zero, zero, zero, zoom, start)

    return vary


def _span(size: int, position: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Which of `size` places a span covers: `(batch, size)`."""
    places = (tf.range(size, dtype=tf.float32) + 0.5) / size
    start = (position * (1 - share))[:, tf.newaxis]
    return tf.logical_and(places >= start, places < start + share[:, tf.newaxis])


def _resampled(images: tf.Tensor, *matrix: tf.Tensor) -> tf.Tensor:
    """Images read at `matrix * (x, y, 1)`, the six numbers row by row, one set an image."""
    zero = tf.zeros_like(matrix[0])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([*matrix, zero, zero], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
