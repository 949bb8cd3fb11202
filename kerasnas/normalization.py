"""Batch normalisation in few passes through memory, which makes training on CPUs faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

__all__ = ["FUSED_NAME", "FusedBatchNormalization"]

FUSED_NAME = "kerasnas>FusedBatchNormalization"
"""The name that saved configurations know the layer by."""

# oneDNN's forward kernel works on vectors of 16 channels; with other counts it takes several
# times as long, and longer than a few plain operations.
_LANES = 16


@keras.saving.register_keras_serializable(package="kerasnas")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis of images, faster on CPUs.

    Keras computes moments, scaling and shift, and their gradients, one after another, and on
    a CPU each is a pass through memory. TensorFlow's fused kernels need a third of the
    passes. Weights and results are those of the Keras layer.

    What is no image, or has no scale or shift, is normalised as Keras does.

    It is for training only. Models that leave this library have the stock layer, which takes
    over the weights as they are.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or len(inputs.shape) != 4 or not (self.scale and self.center):
            return super().call(inputs, training=training, mask=mask)
        normalize = _fused if inputs.shape[-1] % _LANES == 0 else _in_few_passes
        outputs, mean, variance = normalize(
            tf.cast(inputs, tf.float32),
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            self.epsilon,
        )
        for moving, current in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + current * (1.0 - self.momentum))
        return tf.cast(outputs, self.compute_dtype)


def _fused(
    inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalised inputs, and mean and variance of each channel."""
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs, scale, offset, epsilon=epsilon, is_training=True
    )
    # The kernel reports the variance of a sample, Keras keeps that of the batch.
    count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
    return outputs, mean, variance * (count - 1.0) / count


def _in_few_passes(
    inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """As `_fused`, but fused backwards only."""
    channels = inputs.shape[-1]

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def normalize(
        inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], Callable[..., tuple[tf.Tensor, ...]]]:
        rows = tf.reshape(inputs, (-1, channels))
        # A product with ones sums over the rows at the speed of memory.
        weight = tf.fill((1, tf.shape(rows)[0]), 1.0 / tf.cast(tf.shape(rows)[0], tf.float32))
        mean = tf.matmul(weight, rows)[0]
        variance = tf.nn.relu(tf.matmul(weight, tf.square(rows))[0] - tf.square(mean))
        factor = scale * tf.math.rsqrt(variance + epsilon)
        outputs = inputs * factor + (offset - mean * factor)

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
            # Mean and variance go into moving averages only, which pass no gradient on.
            grad = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream,
                x=inputs,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros(0),
                epsilon=epsilon,
                is_training=True,
            )
            return grad.x_backprop, grad.scale_backprop, grad.offset_backprop

        return (outputs, mean, variance), gradient

    outputs, mean, variance = normalize(inputs, scale, offset)
    return outputs, mean, variance
