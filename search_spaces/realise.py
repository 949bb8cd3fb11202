"""From a description to a Keras model: stock layers only.

The model is saved, loaded and exported without this library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers
from keras.initializers import GlorotUniform, HeNormal

from search_spaces.network import Network

__all__ = ["realise"]

# Short trainings see too few batches for Keras' 0.99: the moving statistics that judge the
# network would still be half those of the untrained one.
_MOMENTUM = 0.9


def _listed(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


_LAYERS: dict[str, Callable[[Mapping[str, Any], dict[str, Any]], keras.layers.Layer]] = {
    "rescale": lambda s, k: layers.Rescaling(_listed(s["scale"]), _listed(s["offset"]), **k),
    "conv": lambda s, k: layers.Conv2D(
        s["filters"],
        s["kernel"],
        s["stride"],
        padding=s.get("padding", "same"),
        use_bias=s["bias"],
        **k,
    ),
    "depthwise": lambda s, k: layers.DepthwiseConv2D(
        s["kernel"],
        s["stride"],
        padding=s.get("padding", "same"),
        use_bias=s["bias"],
        **k,
    ),
    "dense": lambda s, k: layers.Dense(s["units"], use_bias=s["bias"], **k),
    "activation": lambda s, k: layers.Activation(s["function"], **k),
    "dropout": lambda s, k: layers.Dropout(s["rate"], **k),
    "max_pool": lambda s, k: layers.MaxPooling2D(
        s["size"], s["stride"], s.get("padding", "same"), **k
    ),
    "average_pool": lambda s, k: layers.AveragePooling2D(
        s["size"], s["stride"], s.get("padding", "same"), **k
    ),
    "global_average_pool": lambda s, k: layers.GlobalAveragePooling2D(
        keepdims=s["keepdims"], **k
    ),
    "pad": lambda s, k: layers.ZeroPadding2D(s["padding"], **k),
    "flatten": lambda s, k: layers.Flatten(**k),
    "reshape": lambda s, k: layers.Reshape(s["shape"], **k),
    "add": lambda s, k: layers.Add(**k),
    "multiply": lambda s, k: layers.Multiply(**k),
}

# What is random in a layer, by its seed.
_RANDOM: dict[str, Callable[[int | None], dict[str, Any]]] = {
    "conv": lambda seed: {"kernel_initializer": HeNormal(seed)},
    "depthwise": lambda seed: {"depthwise_initializer": HeNormal(seed)},
    "dense": lambda seed: {"kernel_initializer": GlorotUniform(seed)},
    "dropout": lambda seed: {"seed": seed},
}
_SEED_STRIDE = 10_007  # more layers than a network has, so that seeds do not overlap


def realise(
    network: Network,
    *,
    seed: int | None = None,
    dtype: str | None = None,
    normalization: type[layers.BatchNormalization] = layers.BatchNormalization,
    name: str | None = None,
) -> keras.Model:
    """Build the Keras model that `network` describes, uncompiled, with fresh weights.

    Layers are named after their operation and position, so that the same network gives the
    same names in every session. The output is float32 whatever the policy, for a stable
    loss.

    Args:
        network: The description.
        seed: Seeds the initial weights and dropout, each layer with its own; `None` draws
            from Keras' global generator.
        dtype: Dtype policy of the layers, e.g. `"mixed_float16"`; `None` is the global one.
        normalization: What normalises batches; the stock layer, unless a training wants a
            faster one with the same weights.
        name: Name of the model.

    Returns:
        A functional model from `(batch, *network.input_shape)` to `(batch,
        *network.output_shape)`.
    """
    last = len(network.layers) - 1
    tensors = [keras.Input(network.input_shape, name="input")]
    for index, (op, inputs, settings, _) in enumerate(network.layers[1:], start=1):
        policy = "float32" if index == last else dtype
        options: dict[str, Any] = {"name": f"{op}_{index}", "dtype": policy}
        if op in _RANDOM:
            options |= _RANDOM[op](None if seed is None else seed * _SEED_STRIDE + index)
        if op == "batch_norm":
            build = normalization(momentum=_MOMENTUM, **dict(settings), **options)
        else:
            build = _LAYERS[op](dict(settings), options)
        read = [tensors[i] for i in inputs]
        tensors.append(build(read[0] if len(read) == 1 else read))
    return keras.Model(tensors[0], tensors[-1], name=name)
