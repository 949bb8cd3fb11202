"""From a description to a Keras model: stock layers only.

The model is saved, loaded and exported without this library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from keras.initializers import (
    GlorotUniform,
    HeNormal,
    Orthogonal,
    RandomNormal,
    RandomUniform,
)
from numpy.typing import NDArray

from search_spaces.front_end import FrontEnd
from search_spaces.network import Network
from search_spaces.operations import Settings, Shape

__all__ = ["realise", "sinusoid"]


_KERNEL_STRIDE = 1_000_003  # between the seeds of kernels in one layer
_EPSILON = 1e-6  # of layer normalisation, as in vision transformers

# Short trainings see too few batches for Keras' 0.99: the moving statistics that judge the
# network would still be half those of the untrained one.
_MOMENTUM = 0.9


# Positional encodings start small beside what they are added to.
_POSITION_DEVIATION = 0.02


def sinusoid(length: int, channels: int) -> NDArray[np.float32]:
    """What `blocks.sinusoid` adds: one row a position (Vaswani et al., 2017, section 3.5)."""
    channel = np.arange(channels)
    angles = np.arange(length)[:, None] / 10_000.0 ** (channel // 2 * 2 / channels)
    wave: NDArray[np.float32] = np.where(channel % 2, np.cos(angles), np.sin(angles))
    return wave.astype(np.float32)


def _listed(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _attention(s: Settings, options: dict[str, Any]) -> Any:
    seed = options.pop("seed")
    attend = layers.MultiHeadAttention(s["heads"], s["width"], **options)

    def call(x: Any) -> Any:
        y = attend(x, x, use_causal_mask=s["causal"])
        if seed is not None:
            # Keras gives the four kernels copies of one initializer: all the same values.
            for number, kernel in enumerate(attend.weights[::2]):
                kernel.assign(GlorotUniform(seed + number * _KERNEL_STRIDE)(kernel.shape))
        return y

    return call


def _recurrent(s: Settings, options: dict[str, Any]) -> Any:
    cell = {"gru": layers.GRU, "lstm": layers.LSTM}[s["cell"]]
    if not s["bidirectional"]:
        return cell(s["units"], return_sequences=s["sequences"], **options)
    inner = {key: value for key, value in options.items() if key != "name"}
    forward = cell(s["units"], return_sequences=s["sequences"], **inner)
    # Left to itself Keras gives the other direction copies of seeded initializers.
    for name in ("kernel_initializer", "recurrent_initializer"):
        initializer = inner.get(name)
        if initializer is not None and initializer.seed is not None:
            seed = initializer.seed + _KERNEL_STRIDE
            inner[name] = type(initializer)(seed=seed)
    backward = cell(s["units"], return_sequences=s["sequences"], go_backwards=True, **inner)
    return layers.Bidirectional(forward, backward_layer=backward, name=options["name"])


_LAYERS: dict[str, Callable[[Settings, dict[str, Any]], Any]] = {
    "rescale": lambda s, k: layers.Rescaling(_listed(s["scale"]), _listed(s["offset"]), **k),
    "conv": lambda s, k: layers.Conv2D(
        s["filters"],
        s["kernel"],
        s["stride"],
        padding=s.get("padding", "same"),
        dilation_rate=s.get("dilation", 1),
        use_bias=s["bias"],
        **k,
    ),
    "depthwise": lambda s, k: layers.DepthwiseConv2D(
        s["kernel"],
        s["stride"],
        padding=s.get("padding", "same"),
        dilation_rate=s.get("dilation", 1),
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
    "pad": lambda s, k: layers.ZeroPadding2D(s["padding"], **k),
    "crop": lambda s, k: layers.Cropping2D(s["cropping"], **k),
    "resize": lambda s, k: layers.Resizing(*s["size"], interpolation=s["interpolation"], **k),
    "layer_norm": lambda s, k: layers.LayerNormalization(epsilon=_EPSILON, **k),
    "embedding": lambda s, k: layers.Embedding(s["vocabulary"], s["width"], **k),
    "attention": _attention,
    "recurrent": _recurrent,
    "concatenate": lambda s, k: layers.Concatenate(**k),
    "flatten": lambda s, k: layers.Flatten(**k),
    "reshape": lambda s, k: layers.Reshape(s["shape"], **k),
    "add": lambda s, k: layers.Add(**k),
    "multiply": lambda s, k: layers.Multiply(**k),
}


def _global_average_pool(s: Settings, options: dict[str, Any], shape: Shape) -> Any:
    if len(shape) == 2:
        return layers.GlobalAveragePooling1D(**options)
    return layers.GlobalAveragePooling2D(keepdims=s["keepdims"], **options)


def _narrow(s: Settings, options: dict[str, Any], shape: Shape) -> Any:
    # Keras crops two axes: with channels first these are width and channels.
    lost = shape[-1] - s["channels"]
    return layers.Cropping2D(((0, 0), (0, lost)), data_format="channels_first", **options)


def _front_end(s: Settings, options: dict[str, Any], shape: Shape) -> Any:
    return FrontEnd.of({**s, "samples": shape[0]}).model(shape, options["name"])


def _position(s: Settings, options: dict[str, Any], shape: Shape) -> Any:
    length, _ = shape
    if "width" in s:
        return layers.EinsumDense(
            "btc,cd->btd", (length, s["width"]), bias_axes="td", **options
        )
    # The product with a matrix of one weight, so that the bias is all that matters; in this
    # form the converter takes it.
    options["kernel_initializer"] = "ones"
    about = {"dtype": options["dtype"]}
    split = layers.Reshape((*shape, 1), name=f"{options['name']}_split", **about)
    shift = layers.EinsumDense("btci,io->btco", (*shape, 1), bias_axes="tc", **options)
    join = layers.Reshape(shape, name=f"{options['name']}_join", **about)
    return lambda x: join(shift(split(x)))


def _sinusoid(s: Settings, options: dict[str, Any], shape: Shape) -> Any:
    return layers.Rescaling(1.0, sinusoid(*shape).tolist(), **options)


# Layers that are built for the shape of what they read.
_SHAPED: dict[str, Callable[[Settings, dict[str, Any], Shape], Any]] = {
    "front_end": _front_end,
    "global_average_pool": _global_average_pool,
    "narrow": _narrow,
    "position": _position,
    "sinusoid": _sinusoid,
}

# What is random in a layer, by its seed.
_RANDOM: dict[str, Callable[[int | None], dict[str, Any]]] = {
    "attention": lambda seed: {"seed": seed},
    "embedding": lambda seed: {"embeddings_initializer": RandomUniform(-0.05, 0.05, seed)},
    "position": lambda seed: {
        "kernel_initializer": GlorotUniform(seed),
        "bias_initializer": RandomNormal(stddev=_POSITION_DEVIATION, seed=seed),
    },
    "recurrent": lambda seed: {
        "kernel_initializer": GlorotUniform(seed),
        "recurrent_initializer": Orthogonal(seed=seed),
    },
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
        *network.output_shape)`. Of several inputs it is called with a dict of tensors, by the
        names of the inputs.
    """
    last, starts = len(network.layers) - 1, network.inputs
    tensors = [keras.Input(shape, name=name, dtype=kind) for name, shape, kind in starts]
    read = {one.name: tensor for one, tensor in zip(starts, tensors, strict=True)}
    for index, (op, sources, settings, _) in enumerate(network.layers):
        if op == "input":
            continue
        policy = "float32" if index == last else dtype
        options: dict[str, Any] = {"name": f"{op}_{index}", "dtype": policy}
        if op in _RANDOM:
            options |= _RANDOM[op](None if seed is None else seed * _SEED_STRIDE + index)
        if op == "batch_norm":
            build: Any = normalization(momentum=_MOMENTUM, **dict(settings), **options)
        elif op in _SHAPED:
            build = _SHAPED[op](dict(settings), options, network.layers[sources[0]].shape)
        else:
            build = _LAYERS[op](dict(settings), options)
        given = [tensors[i] for i in sources]
        tensors.append(build(given[0] if len(given) == 1 else given))
    return keras.Model(read if len(read) > 1 else tensors[0], tensors[-1], name=name)
