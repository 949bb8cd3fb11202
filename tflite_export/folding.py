"""A trained model with nothing in it that only training needs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from tflite_export.layer_graph import LayerGraph, Step, read_layers

__all__ = ["fold", "folded"]

Array = NDArray[Any]

_ONLY_TRAINING = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.RandomBrightness,
    layers.RandomContrast,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_WEIGHTED = (*_CONVOLUTIONS, *_DEPTHWISE, layers.Dense)
_PADDED = ("same", "causal")


def fold(model: keras.Model) -> keras.Model:
    """Fold batch normalisation, separable convolutions and dropout away.

    A batch normalisation becomes part of the convolution or dense layer before it, else of
    the dense layer behind it, else a 1x1 depthwise convolution, which is one operator on a
    device. Separable convolutions become two convolutions. A rescaling becomes part of the
    convolution or dense layer behind it, unless it has an offset and meets padding. Dropout,
    noise and random augmentation do nothing at inference and go. All other layers stay.

    Args:
        model: A trained functional or sequential model of stock layers, nested ones too,
            channels last. It is not changed.

    Returns:
        A functional model of stock layers with the same outputs at inference, uncompiled.

    Raises:
        ValueError: If the model is subclassed, has several inputs or outputs, calls a layer
            twice, or has batch normalisation that cannot be folded. Layers are named.
        TypeError: If `model` is not a Keras model.

    Reference:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018, https://arxiv.org/abs/1712.05877,
        section 3.2. Unlike the paper, statistics are folded before fine-tuning and stay as
        they are.
    """
    return folded(model).build()


def folded(model: keras.Model) -> LayerGraph:
    """The layers of `fold(model)`, not yet built.

    Args:
        model: As in `fold`.

    Raises:
        ValueError: As `fold`.
        TypeError: As `fold`.
    """
    graph = read_layers(model)
    _refuse_channels_first(graph)
    for step in graph:
        if step.is_a(*_ONLY_TRAINING):
            graph.remove(step)
        elif step.is_a(layers.SeparableConv2D):
            _separate(graph, step)
    unfolded = []
    for step in graph:
        if step.is_a(layers.BatchNormalization) and not _fold_norm(graph, step):
            unfolded.append(step)
    if unfolded:
        raise ValueError(
            "Batch normalisation can be folded along the last axis of images, and elsewhere "
            "into a convolution or dense layer beside it. Received: model="
            f"{model.name!r} with {', '.join(map(str, unfolded))}. Move it next to one, "
            "normalise along axis -1, or use another normalisation."
        )
    for step in graph:
        if step.is_a(layers.Rescaling):
            _fold_rescaling(graph, step)
    return graph


def add_bias(step: Step) -> Array:
    """Give a convolution or dense layer a bias, if it has none, and return the bias.

    Args:
        step: The layer; its configuration and weights are changed.
    """
    if not step.config["use_bias"]:
        step.config["use_bias"] = True
        step.weights.append(np.zeros(step.shape[-1], np.float32))
    return step.weights[-1]


def _refuse_channels_first(graph: LayerGraph) -> None:
    first = [s for s in graph if s.config.get("data_format") == "channels_first"]
    if first:
        raise ValueError(
            "Layers must have their channels last, as TensorFlow Lite has. Received: "
            f"model={graph.name!r} with {', '.join(map(str, first))}. Rebuild it with "
            '`data_format="channels_last"` and transpose the inputs.'
        )


def _separate(graph: LayerGraph, step: Step) -> None:
    config = step.config
    depthwise = Step(
        layers.DepthwiseConv2D,
        {
            "name": graph.free_name(f"{step.name}_depthwise"),
            "kernel_size": config["kernel_size"],
            "strides": config["strides"],
            "padding": config["padding"],
            "dilation_rate": config["dilation_rate"],
            "depth_multiplier": config["depth_multiplier"],
            "use_bias": False,
            "dtype": config["dtype"],
        },
        step.weights[:1],
        step.inputs,
        (*step.shape[:-1], step.weights[0].shape[-2] * step.weights[0].shape[-1]),
    )
    graph.steps.insert(graph.steps.index(step), depthwise)
    step.kind, step.inputs, step.weights = layers.Conv2D, [depthwise], step.weights[1:]
    step.config = {
        "name": step.name,
        "filters": config["filters"],
        "kernel_size": 1,
        "activation": config["activation"],
        "use_bias": config["use_bias"],
        "dtype": config["dtype"],
    }


def _fold_norm(graph: LayerGraph, step: Step) -> bool:
    """Fold one batch normalisation, if that is possible."""
    (source,) = step.inputs
    if step.config["axis"] not in (-1, len(step.shape)):
        return False
    scale, offset = _affine(step)
    if (
        source.is_a(*_WEIGHTED)
        and _linear(source)
        and graph.only_reader(source) is step
        and len(source.shape) == len(step.shape)
    ):
        kernel, *_ = source.weights
        bias = add_bias(source)
        source.weights = [_scaled_outputs(source, kernel, scale), bias * scale + offset]
        graph.remove(step)
        return True
    reader = graph.only_reader(step)
    if reader is not None and reader.is_a(layers.Dense):
        _scale_inputs(reader, scale, offset)
        graph.remove(step)
        return True
    if len(step.shape) == 3:
        step.kind = layers.DepthwiseConv2D
        step.config = {"name": step.name, "kernel_size": 1, "dtype": step.config["dtype"]}
        step.weights = [scale.reshape(1, 1, -1, 1), offset]
        return True
    return False


def _fold_rescaling(graph: LayerGraph, step: Step) -> None:
    """Fold a rescaling into the layer that reads it where that changes nothing."""
    reader = graph.only_reader(step)
    if reader is None or not reader.is_a(*_WEIGHTED) or reader.config.get("groups", 1) > 1:
        return
    dtype = step.inputs[0].config.get("dtype")
    if step.inputs[0].is_a(layers.InputLayer) and "float" not in str(dtype):
        return  # a rescaling takes whole numbers, a convolution does not
    channels = step.shape[-1]
    scale, offset = (
        np.broadcast_to(np.asarray(step.config[key], np.float32), step.shape)
        for key in ("scale", "offset")
    )
    by_channel = [values.reshape(-1, channels) for values in (scale, offset)]
    if any(np.ptp(values, axis=0).any() for values in by_channel):
        return  # one number a pixel
    padded = reader.config.get("padding") in _PADDED
    if padded and np.any(offset):
        return  # what is padded with is 0 behind the rescaling, not before it
    _scale_inputs(reader, by_channel[0][0], by_channel[1][0])
    graph.remove(step)


def _affine(step: Step) -> tuple[Array, Array]:
    """Batch normalisation at inference as a scale and an offset, one a channel."""
    weights = list(step.weights)
    gamma = weights.pop(0) if step.config["scale"] else 1.0
    beta = weights.pop(0) if step.config["center"] else 0.0
    mean, variance = (weight.astype(np.float64) for weight in weights)
    scale = gamma / np.sqrt(variance + step.config["epsilon"])
    return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)


def _linear(step: Step) -> bool:
    return step.config.get("activation") in (None, "linear")


def _scaled_outputs(step: Step, kernel: Array, scale: Array) -> Array:
    if step.is_a(*_DEPTHWISE):
        return kernel * scale.reshape(kernel.shape[-2:])
    return kernel * scale


def _scale_inputs(step: Step, scale: Array, offset: Array) -> None:
    """Let a layer take `x` where it took `x * scale + offset`."""
    kernel = step.weights[0]
    # Axes of the kernel: window, input channels, output channels or depth multiplier.
    if np.any(offset):
        bias = add_bias(step)
        shift = kernel * offset[:, None]
        axes = tuple(range(kernel.ndim - (2 if step.is_a(*_DEPTHWISE) else 1)))
        step.weights[-1] = bias + shift.sum(axis=axes).reshape(-1)
    step.weights[0] = kernel * scale[:, None]
