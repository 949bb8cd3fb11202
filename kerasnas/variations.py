"""Variations that leave the answer as it is: of images, sounds, series, tables and tokens.

Each takes a batch, an amount from 0 to 1 and a seed of shape (2,), and returns the batch,
varied. What is added or scaled stays within the range that the batch has: an int8 file has
one fixed range for its input, and would cut the rest off.
"""

from __future__ import annotations

import math

import tensorflow as tf

from kerasnas.moves import read_in_time
from kerasnas.preprocessing import UNKNOWN

__all__ = [
    "brightened",
    "forgotten",
    "hidden",
    "hidden_spans",
    "jittered",
    "leveled",
    "louder",
    "mixed",
    "moved_in_time",
    "shifted",
    "sliced",
    "span",
    "swapped",
]

_ZOOM, _SHIFT = 0.1, 0.1
_MASKED = 0.15  # share of the frames, and of the bands, that are hidden at most
_ERASED = 0.5  # share of the height, and of the width, of a hidden rectangle at most
_SLICED = 0.2  # share of a series that is cut off at most
_FORGOTTEN = 0.2  # share of the words
_SWAPPED = 0.2  # share of the columns
_MIXING = 0.4  # the paper's alpha


def moved_in_time(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Stretch and shift `(batch, length, width, channels)` by up to 10 % of the length each.

    Ends are repeated.
    """
    length = x.shape[1]
    drawn = tf.random.stateless_uniform((2, tf.shape(x)[0]), seed, -1.0, 1.0)
    zoom = tf.exp(drawn[0] * (_ZOOM * amount))
    start = (length - 1) / 2 * (1 - zoom) + drawn[1] * (_SHIFT * amount * length)
    return read_in_time(x, zoom, start)


def sliced(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Cut up to 20 % off the ends of `(batch, length, channels)`; stretch what is left.

    Reference:
        Le Guennec et al., "Data Augmentation for Time Series Classification using
        Convolutional Neural Networks", AALTD 2016 (window slicing).
    """
    drawn = tf.random.stateless_uniform((2, tf.shape(x)[0]), seed)
    zoom = 1 - drawn[0] * (_SLICED * amount)
    start = drawn[1] * (1 - zoom) * (x.shape[1] - 1)
    return read_in_time(x[:, :, tf.newaxis], zoom, start)[:, :, 0]


def louder(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Scale `(batch, samples)` by up to 6 dB, up or down."""
    return leveled(x[:, :, tf.newaxis], amount, seed, factor=2.0)[:, :, 0]


def brightened(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Change contrast by a factor of up to 1.3, brightness by 30 % of the deviation.

    All channels of an image change alike.
    """
    pixels = tf.reshape(x, [tf.shape(x)[0], math.prod(x.shape[1:]), 1])
    return tf.reshape(leveled(pixels, amount, seed, factor=1.3, offset=0.3), tf.shape(x))


def shifted(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Shift `(batch, samples)` by up to 10 %, by whole samples; the mean comes in."""
    count, samples = tf.shape(x)[0], x.shape[1]
    most = int(_SHIFT * amount * samples)
    by = tf.random.stateless_uniform((count, 1), seed, 0, 2 * most + 1, tf.int32)
    mean = tf.reduce_mean(x, axis=1, keepdims=True)
    padded = tf.pad(x - mean, [[0, 0], [most, most]])
    places = tf.range(samples)[tf.newaxis] + by
    return tf.gather(padded, places, axis=1, batch_dims=1) + mean


def leveled(
    x: tf.Tensor, amount: float, seed: tf.Tensor, *, factor: float, offset: float = 0.0
) -> tf.Tensor:
    """Scale the deviation of `(batch, places, channels)` from the mean, and add to it.

    Args:
        x: A batch; each channel of an example has a mean, a factor and an offset.
        amount: Scales `factor` and `offset`.
        seed: Of shape (2,).
        factor: By which the deviation is multiplied or divided at most, above 1.
        offset: What is added or taken at most, in deviations.
    """
    count, _, channels = tf.unstack(tf.shape(x))
    drawn = tf.random.stateless_uniform((2, count, 1, channels), seed, -1.0, 1.0)
    scale = tf.exp(drawn[0] * (math.log(factor) * amount))
    mean = tf.reduce_mean(x, axis=1, keepdims=True)
    shift = mean * (1 - scale)
    if offset:
        squares = tf.reduce_mean(tf.square(x), axis=1, keepdims=True)
        deviation = tf.sqrt(tf.maximum(squares - tf.square(mean), 0.0))
        shift += drawn[1] * (offset * amount) * deviation
    return _within(x * scale + shift, x)


def jittered(
    x: tf.Tensor, amount: float, seed: tf.Tensor, *, share: float, axis: int = 1
) -> tf.Tensor:
    """Add normal noise.

    Args:
        x: A batch.
        amount: Scales `share`.
        seed: Of shape (2,).
        share: Deviation of the noise, as a share of that of `x`.
        axis: Axis along which deviations are taken.
    """
    noise = tf.random.stateless_normal(tf.shape(x), seed)
    deviation = tf.math.reduce_std(x, axis, keepdims=True)
    return _within(x + noise * (deviation * (share * amount)), x)


def hidden_spans(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Hide a span of frames and a band of frequencies, of up to 15 % each, behind the mean.

    Reference:
        Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
        Recognition", Interspeech 2019, https://arxiv.org/abs/1904.08779.
    """
    frames, bands = _spans(x, _MASKED * amount, seed)
    return _behind_mean(x, tf.logical_or(frames, bands))


def hidden(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Hide a rectangle of images, up to half as high and half as wide, behind the mean.

    Reference:
        Zhong et al., "Random Erasing Data Augmentation", AAAI 2020,
        https://arxiv.org/abs/1708.04896. Unlike there each image has one, of any size.
    """
    rows, columns = _spans(x, _ERASED * amount, seed)
    return _behind_mean(x, tf.logical_and(rows, columns))


def swapped(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Take up to 20 % of the columns of `(batch, columns)` from another row.

    Reference:
        Bahri et al., "SCARF: Self-Supervised Contrastive Learning using Random Feature
        Corruption", ICLR 2022, https://arxiv.org/abs/2106.15147. Unlike there all columns of
        a row come from one other.
    """
    drawn = tf.random.stateless_uniform(tf.shape(x), seed)
    return tf.where(drawn < _SWAPPED * amount, tf.roll(x, 1, axis=0), x)


def forgotten(x: tf.Tensor, amount: float, seed: tf.Tensor) -> tf.Tensor:
    """Replace up to 20 % of the tokens by the unknown one, 1; padding, 0, stays.

    Only for tokens that mean so, as those that `TextPreprocessing` makes.

    Reference:
        Gal and Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent
        Neural Networks", NeurIPS 2016, https://arxiv.org/abs/1512.05287 (word dropout).
    """
    drawn = tf.random.stateless_uniform(tf.shape(x), seed)
    lost = tf.logical_and(x != 0, drawn < _FORGOTTEN * amount)
    return tf.where(lost, tf.cast(UNKNOWN, x.dtype), x)


def mixed(
    inputs: list[tf.Tensor], y: tf.Tensor, amount: float, seed: tf.Tensor, *, cut: bool = False
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Add another example to each, and its answer to the answer, in the same shares.

    The other one has less than half. An amount of 1 draws shares as the paper does, with
    `alpha = 0.4`; less scales them.

    Args:
        inputs: Batches, float32; all are mixed in the same shares.
        y: Answers `(batch, k)`, float32: probabilities, labels of 0 and 1, or quantities.
        amount: Scales shares.
        seed: Of shape (2,).
        cut: Whether half of the examples get a rectangle of the other image instead, whose
            share of the area is below one half. All inputs must be images of one size.

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
        https://arxiv.org/abs/1710.09412; Yun et al., "CutMix: Regularization Strategy to
        Train Strong Classifiers with Localizable Features", ICCV 2019,
        https://arxiv.org/abs/1905.04899.
    """
    count = tf.shape(y)[0]
    gamma = tf.random.stateless_gamma((2, count), seed, _MIXING)
    share = tf.math.divide_no_nan(tf.reduce_min(gamma, 0), tf.reduce_sum(gamma, 0)) * amount
    if not cut:
        inputs = [_towards_next(x, _column(share, x.shape.rank)) for x in inputs]
        return inputs, _towards_next(y, _column(share, y.shape.rank))
    drawn = tf.random.stateless_uniform((4, count), _fold(seed, 1))
    side = tf.sqrt(drawn[0] * 0.5 * amount)
    _, height, width, _ = inputs[0].shape
    rows = span(height, drawn[1], side)[:, :, tf.newaxis, tf.newaxis]
    columns = span(width, drawn[2], side)[:, tf.newaxis, :, tf.newaxis]
    patch = tf.cast(tf.logical_and(rows, columns), tf.float32)
    weight = tf.where(_column(drawn[3] < 0.5, 4), patch, _column(share, 4))
    inputs = [_towards_next(x, weight) for x in inputs]
    return inputs, _towards_next(y, tf.reduce_mean(weight, (1, 2, 3))[:, tf.newaxis])


def span(size: int, position: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Which of `size` places a span covers: `(batch, size)`."""
    places = (tf.range(size, dtype=tf.float32) + 0.5) / size
    start = (position * (1 - share))[:, tf.newaxis]
    return tf.logical_and(places >= start, places < start + share[:, tf.newaxis])


def _spans(x: tf.Tensor, most: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A span of up to a share `most` of each of the two axes of pictures."""
    drawn = tf.random.stateless_uniform((4, tf.shape(x)[0]), seed)
    first = span(x.shape[1], drawn[0], drawn[1] * most)[:, :, tf.newaxis, tf.newaxis]
    second = span(x.shape[2], drawn[2], drawn[3] * most)[:, tf.newaxis, :, tf.newaxis]
    return first, second


def _behind_mean(x: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    return tf.where(where, tf.reduce_mean(x, axis=(1, 2), keepdims=True), x)


def _towards_next(x: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    return x + weight * (tf.roll(x, 1, axis=0) - x)


def _column(x: tf.Tensor, rank: int) -> tf.Tensor:
    return tf.reshape(x, [-1] + [1] * (rank - 1))


def _within(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(x, tf.reduce_min(like), tf.reduce_max(like))


def _fold(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)
