"""Batch normalisation as one kernel, which makes training on CPUs faster."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["FUSED_NAME", "FusedBatchNormalization"]

FUSED_NAME = "kerasnas>FusedBatchNormalization"
"""The name that saved configurations know the layer by."""


@keras.saving.register_keras_serializable(package="kerasnas")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis of images, fused.

    Keras computes moments, scaling and shift one after another, and on a CPU each is a pass
    through memory; TensorFlow's fused kernel needs a third of the passes, forwards and
    backwards. Weights and results are those of the Keras layer, but for the moving variance,
    which is that of a sample (n - 1) here.

    It is for training only. Models that leave this library have the stock layer, which takes
    over the weights as they are.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        for moving, current in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + current * (1.0 - self.momentum))
        return outputs
