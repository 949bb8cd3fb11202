"""Copies of a model that can be probed: the model itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

__all__ = [
    "Unscorable",
    "batch",
    "check_examples",
    "kernels",
    "normalizations",
    "probe",
    "rectified",
]

# Functions whose result is positive exactly where what they get is.
_RECTIFIERS = {
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu"),
    *("silu", "hard_silu", "gelu", "mish"),
}
_RECTIFYING = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)
_NOISE = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
)
_SQUASHING = {"softmax", "log_softmax", "sigmoid", "tanh"}


class Unscorable(ValueError):
    """A network has none of what a score is made of."""


def probe(
    model: keras.Model,
    *,
    dtype: str = "float32",
    logits: bool = False,
    linear: bool = False,
) -> keras.Model:
    """Copy a model, with its weights, into one that can be run as in training.

    Dropout and noise are left out, so that only batch normalisation knows of training. It
    keeps the statistics of the last batch alone: its momentum is 0.

    Args:
        model: A built functional or `Sequential` model.
        dtype: Of weights and of computation.
        logits: Whether a softmax or another squashing function at the end is left out.
        linear: Whether rectifiers (see `rectified`) are left out.

    Returns:
        An uncompiled model with the layers' names.

    Raises:
        TypeError: If the model is subclassed, or not built: it cannot be copied then.
    """
    try:
        # A view without what the model was compiled with, which would be copied too.
        view = keras.Model(*_ends(model))
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(
            "Only a built functional or Sequential model can be copied to be scored. "
            f"Received: {type(model).__name__} {getattr(model, 'name', '')!r}. Start it with "
            "`keras.Input`."
        ) from error
    ends = set(view.output_names) if logits else set()
    known: dict[int, Any] = {}

    def copied(operation: Any) -> Any:
        if id(operation) not in known:  # a layer may be used in several places
            known[id(operation)] = _copied(operation, dtype, operation.name in ends, linear)
        return known[id(operation)]

    copy = keras.models.clone_model(view, clone_function=copied, recursive=True)
    sources = {layer.name: layer for layer in _leaves(view)}
    for layer in _leaves(copy):
        if layer.weights:
            layer.set_weights(sources[layer.name].get_weights())
    return copy


def _ends(model: keras.Model) -> tuple[Any, Any]:
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def _copied(operation: Any, dtype: str, squashed: bool, linear: bool) -> Any:
    if not isinstance(operation, layers.Layer):
        return operation  # without weights
    about = {"name": operation.name, "dtype": dtype}
    if isinstance(operation, _NOISE) or (linear and isinstance(operation, _RECTIFYING)):
        return layers.Identity(**about)
    if squashed and isinstance(operation, layers.Softmax):
        return layers.Identity(**about)
    config = {**operation.get_config(), **about}
    function = _function(operation)
    if (squashed and function in _SQUASHING) or (linear and function in _RECTIFIERS):
        config["activation"] = "linear"
    if isinstance(operation, layers.BatchNormalization):
        config["momentum"] = 0.0
    for rate in config.keys() & {"dropout", "recurrent_dropout"}:
        config[rate] = 0.0
    return type(operation).from_config(config)


def _function(layer: Any) -> str:
    """The name of what a layer applies last, if it has an activation."""
    return str(getattr(getattr(layer, "activation", None), "__name__", ""))


def rectified(copy: keras.Model) -> list[Any]:
    """Let a copy record what its rectifiers answer whenever it runs.

    Rectifiers end in a function that is positive exactly where its input is: ReLU and its kin
    up to h-swish and GELU, as a layer or as `activation=` of another.

    Returns:
        The answers, one more each time that a rectifier is run; empty until then.

    Raises:
        Unscorable: If there is none.
    """
    answers: list[Any] = []
    found = [
        layer
        for layer in _leaves(copy)
        if isinstance(layer, _RECTIFYING) or _function(layer) in _RECTIFIERS
    ]
    if not found:
        raise Unscorable(
            "A pattern is that of rectifiers. Received: "
            f"{copy.name!r}, which has none. Use `jacob_cov` or `synflow`."
        )
    for layer in found:
        layer.call = _recording(layer.call, answers)
    return answers


def _recording(call: Callable[..., Any], answers: list[Any]) -> Callable[..., Any]:
    def recorded(*args: Any, **kwargs: Any) -> Any:
        answers.append(call(*args, **kwargs))
        return answers[-1]

    return recorded


def kernels(model: keras.Model) -> list[Any]:
    """The trainable matrices of a model; neither biases nor what normalisation learns.

    Raises:
        Unscorable: If it has none.
    """
    found = [
        variable
        for variable in model.trainable_variables
        if len(variable.shape) > 1 and not variable.path.endswith("bias")
    ]
    if not found:
        raise Unscorable(
            "Saliency is that of trainable kernels. Received: "
            f"{model.name!r}, which has none. Give it a layer such as `Conv2D` or `Dense`."
        )
    return found


def normalizations(model: keras.Model) -> list[layers.BatchNormalization]:
    """Every batch normalisation of a model, also within nested models."""
    return [one for one in _leaves(model) if isinstance(one, layers.BatchNormalization)]


def _leaves(model: keras.Model) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def batch(model: keras.Model, x: Any) -> Any:
    """Examples as tensors that a model takes; of several inputs, as it has them."""
    return keras.tree.map_structure(
        lambda start, given: tf.convert_to_tensor(np.asarray(given), start.dtype),
        model.input,
        x,
    )


def check_examples(x: Any, what: str) -> int:
    """Refuse a batch of one.

    Args:
        x: Examples, or a structure of them.
        what: The score that is asked for, for the message.

    Returns:
        How many examples there are.

    Raises:
        ValueError: If there are fewer than 2.
    """
    count = len(keras.tree.flatten(x)[0])
    if count < 2:
        raise ValueError(
            f"`{what}` compares the examples of a batch. Received: {count}. Pass 16 to 128."
        )
    return count
