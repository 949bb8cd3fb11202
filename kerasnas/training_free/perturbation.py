"""The Zen score: how much the features of a network answer to noise."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from kerasnas.training_free.copies import Unscorable, kernels, normalizations, probe

__all__ = ["zen"]

_POOLS = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling1D,
    layers.GlobalMaxPooling2D,
    layers.Flatten,
)


def zen(
    model: keras.Model,
    *,
    seed: int = 0,
    examples: int = 16,
    repeats: int = 2,
    size: float = 0.01,
) -> float:
    """Tell how much the features of a network move when its input does.

    All kernels are drawn anew from a normal distribution, so that wide layers have large
    outputs; inputs are normal noise, moved by `size` times more noise. The score is the
    logarithm of the mean distance (sum of absolute differences) between the features of both,
    plus, for each batch normalisation, the logarithm of the deviation that it divided by:
    without normalisation features would have moved by so much more. Features are what the last
    global pooling (or flattening) reads, or else the last layer with a kernel.

    The score depends on the architecture and the seed alone: neither on weights nor on data.

    Args:
        model: A built model of real inputs. It is left as it is.
        seed: Seeds weights and noise.
        examples: Inputs in a batch; more are more exact.
        repeats: Drawings of weights and noise that are averaged; likewise (32 in the paper).
        size: How far inputs are moved, 0.01 in the paper.

    Returns:
        The score, of either sign; larger promises more. Minus infinity where features do not
        depend on the input.

    Raises:
        TypeError: If the model cannot be copied, or takes whole numbers such as tokens.
        Unscorable: If it has no kernels, or no batch normalisation.

    Reference:
        Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV
        2021, https://arxiv.org/abs/2102.01063. Unlike there, shortcuts and squeeze-and-excite
        stay in the network.
    """
    copy = probe(model)
    normalized = normalizations(copy)
    if not normalized:
        raise Unscorable(
            "The Zen score is scaled by batch normalisation. Received: "
            f"{model.name!r}, which has none. Use `synflow` or `naswot`."
        )
    starts = keras.tree.flatten(copy.input)
    if not all(str(start.dtype).startswith("float") for start in starts):
        raise TypeError(
            "Only real inputs can be moved by noise. Received: "
            f"{model.name!r} with inputs of {[str(start.dtype) for start in starts]}. Use "
            "`synflow` or `naswot`."
        )
    features = keras.Model(copy.input, _before_head(copy))
    weights = kernels(copy)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(repeats):
        for variable in weights:
            variable.assign(rng.standard_normal(variable.shape).astype(np.float32))
        for layer in normalized:
            _reset(layer)
        found.append(_moved(features, normalized, rng, examples, size))
    return float(np.mean(found))


def _moved(
    features: keras.Model,
    normalized: Any,
    rng: np.random.Generator,
    examples: int,
    size: float,
) -> float:
    def noise(start: Any) -> Any:
        return tf.constant(rng.standard_normal((examples, *start.shape[1:])), tf.float32)

    given = keras.tree.map_structure(noise, features.input)
    near = keras.tree.map_structure(lambda x: x + size * noise(x), given)
    before = features(given, training=True)
    # With a momentum of 0 these are the statistics of the batch.
    variances = [float(np.mean(layer.moving_variance.numpy())) for layer in normalized]
    moved = tf.abs(features(near, training=True) - before)
    distance = float(tf.reduce_sum(moved)) / examples
    if not distance > 0 or min(variances) <= 0:
        return -math.inf
    return math.log(distance) + 0.5 * float(np.log(variances).sum())


def _reset(layer: Any) -> None:
    for name, value in (("gamma", 1.0), ("beta", 0.0)):
        variable = getattr(layer, name, None)
        if variable is not None:
            variable.assign(np.full(variable.shape, value))


def _before_head(copy: keras.Model) -> Any:
    """What the last global pooling reads, or the last layer with a kernel."""
    pools = [layer for layer in copy.layers if isinstance(layer, _POOLS)]
    found = pools or [layer for layer in copy.layers if hasattr(layer, "kernel")]
    return found[-1].input if found else copy.output
