"""Scores of how well an untrained network tells the examples of a batch apart."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kerasnas.training_free.copies import batch, check_examples, probe, rectified

__all__ = ["correlation_score", "jacob_cov", "log_determinant", "naswot"]

Array = npt.NDArray[np.float64]

_SMALL = 1e-5  # added to eigenvalues, as published


def naswot(model: keras.Model, x: Any) -> float:
    """Tell how different the rectifiers' patterns are from example to example.

    For each example, a rectifier gives a code: 1 where it lets through, 0 where it does not.
    Two examples are alike in as many places as their codes agree. The score is the logarithm
    of the determinant of the matrix of these counts: largest where no two examples are alike,
    minus infinity where two have the same code. Normalisation uses the statistics of the
    batch; dropout is off.

    Rectifiers are ReLU and its kin up to h-swish and GELU; the upper clip of ReLU6 is not part
    of the code.

    Args:
        model: A built model with the weights it starts with. It is left as it is.
        x: Examples `(n, *input_shape)`, 2 or more. Only scores of the same batch compare; more
            examples tell more and cost more.

    Returns:
        The score, of either sign; larger promises more.

    Raises:
        TypeError: If the model cannot be copied.
        Unscorable: If it has no rectifier.
        ValueError: If there are fewer than 2 examples.

    Reference:
        Mellor et al., "Neural Architecture Search without Training", ICML 2021,
        https://arxiv.org/abs/2006.04647.
    """
    count = check_examples(x, "naswot")
    copy = probe(model)
    codes = rectified(copy)
    copy(batch(copy, x), training=True)
    alike = np.zeros((count, count))
    for code in codes:
        ones = tf.cast(tf.reshape(code, (count, -1)) > 0, tf.float32)
        both = tf.matmul(ones, ones, transpose_b=True).numpy().astype(np.float64)
        own = np.diag(both)
        # Where both are 0: all places less those where either is 1.
        alike += 2.0 * both + ones.shape[1] - own[:, None] - own[None]
    return log_determinant(alike)


def jacob_cov(model: keras.Model, x: Any) -> float:
    """Tell how differently the output answers to small changes of each example.

    For each example, the derivative of the sum of the outputs by the input is a vector. The
    score is `correlation_score` of these vectors: largest, minus the number of examples, where
    they are uncorrelated. Normalisation uses the statistics of the batch; dropout is off, and
    so is a softmax or sigmoid at the end.

    Args:
        model: A built model with the weights it starts with. It is left as it is.
        x: Examples `(n, *input_shape)`, 2 or more, real numbers. Only scores of the same batch
            compare.

    Returns:
        The score, negative; larger promises more. Minus infinity where an output does not
        depend on the input.

    Raises:
        TypeError: If the model cannot be copied, or takes whole numbers such as tokens.
        ValueError: If there are fewer than 2 examples.

    References:
        Mellor et al., "Neural Architecture Search without Training", first version, 2020,
        https://arxiv.org/abs/2006.04647v1; as "jacob_cov" in Abdelfattah et al., 2021.
    """
    count = check_examples(x, "jacob_cov")
    copy = probe(model, logits=True)
    given = batch(copy, x)
    starts = keras.tree.flatten(given)
    if not all(start.dtype.is_floating for start in starts):
        raise TypeError(
            "Only real inputs can change a little. Received: "
            f"{model.name!r} with inputs of {[start.dtype.name for start in starts]}. Use "
            "`naswot` or `synflow`."
        )
    with tf.GradientTape() as tape:
        tape.watch(starts)
        outputs = keras.tree.flatten(copy(given, training=True))
        total = sum(tf.reduce_sum(output) for output in outputs)
    gradients = tape.gradient(total, starts, unconnected_gradients="zero")
    rows = [tf.reshape(gradient, (count, -1)).numpy() for gradient in gradients]
    return correlation_score(np.concatenate(rows, axis=1).astype(np.float64))


def log_determinant(kernel: Array) -> float:
    """The logarithm of a symmetric matrix's determinant, minus infinity if it has none."""
    sign, logarithm = np.linalg.slogdet(kernel)
    return float(logarithm) if sign > 0 else -math.inf


def correlation_score(rows: Array) -> float:
    """Score how little rows are correlated.

    Args:
        rows: `(n, features)`.

    Returns:
        `-sum(log(v + k) + 1 / (v + k))` over the eigenvalues `v` of the matrix of correlations
        between rows, with `k = 1e-5`; minus infinity if a row is constant.
    """
    if not (np.ptp(rows, axis=1) > 0).all():
        return -math.inf
    values = np.linalg.eigvalsh(np.corrcoef(rows))
    # Rounding makes some that are 0 a little less.
    shifted = np.maximum(values, 0.0) + _SMALL
    return float(-(np.log(shifted) + 1.0 / shifted).sum())
