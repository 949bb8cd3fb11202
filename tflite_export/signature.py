"""What a model is given: its inputs, by the names that its file has for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Shape", "Shapes", "arranged", "input_specs", "shapes_of"]

Shape = tuple[int, ...]
Shapes = Shape | Mapping[str, Shape]
"""Shape of one input without the batch; of several inputs one for each, by name."""

_GENERATED = ("keras_tensor", "input_layer")


def input_specs(model: keras.Model) -> dict[str, tf.TensorSpec]:
    """Name, type and batch-1 shape of each input, in the model's own order.

    An input is called what `keras.Input(name=)` says, or its key where the model takes a
    dictionary; whatever is no letter, digit or underscore becomes an underscore. One without
    a name is called `input`, of several the first `input_0` and so on. These are the names
    of the file's signature, in which they are sorted.

    Args:
        model: A built model.

    Raises:
        ValueError: If a shape is not known, or the file would have two inputs of one name.
    """
    tensors = _inputs(model)
    names = [_name(tensor.name, number, len(tensors)) for number, tensor in enumerate(tensors)]
    structure = getattr(model, "input", None) if len(tensors) > 1 else None
    if isinstance(structure, Mapping) and len(structure) == len(tensors):
        names = [re.sub(r"\W", "_", str(key)) for key in sorted(structure)]
    if len(set(names)) < len(names):
        raise ValueError(
            "Every input must have a name of its own, of letters, digits and underscores. "
            f"Received: model={model.name!r} with inputs {names}. Give them other names in "
            "`keras.Input(name=)`."
        )
    return {
        name: _spec(tensor, name, model) for name, tensor in zip(names, tensors, strict=True)
    }


def shapes_of(specs: Mapping[str, tf.TensorSpec]) -> Shapes:
    """The shape of one input without the batch; of several one for each, by name."""
    shapes = {name: tuple(spec.shape[1:]) for name, spec in specs.items()}
    return next(iter(shapes.values())) if len(shapes) == 1 else shapes


def arranged(model: keras.Model, values: Mapping[str, Any]) -> Any:
    """Values for all inputs as the model itself takes them: alone, or in its own structure.

    Args:
        model: The model.
        values: By the names of `input_specs`, in that order.
    """
    if len(values) == 1:
        return next(iter(values.values()))
    return keras.tree.pack_sequence_as(model.input, list(values.values()))


def _inputs(model: keras.Model) -> list[Any]:
    inputs = getattr(model, "inputs", None)
    if inputs is None:
        # A subclassed model knows the shape it was built with, not its inputs.
        shape = (model.get_build_config() or {}).get("input_shape")
        several = isinstance(shape, Mapping) or (
            isinstance(shape, tuple | list)
            and any(isinstance(part, tuple | list) for part in shape)
        )
        if several:
            raise ValueError(
                "Models with several inputs must be functional, which have names for them. "
                f"Received: the subclassed model {model.name!r} with inputs of shapes "
                f"{shape}. Wrap it: `keras.Model(inputs, model(inputs))`."
            )
        sized = shape if isinstance(shape, tuple | list) else ()
        inputs = [keras.KerasTensor((None, *sized[1:]))] if sized else []
    if not inputs:
        raise ValueError(
            "The model's input shape is not known. Received: an unbuilt model "
            f"{model.name!r}. Call it once, or `model.build((None, ...))`."
        )
    return list(inputs)


def _name(given: str, number: int, total: int) -> str:
    if given.startswith(_GENERATED):
        return "input" if total == 1 else f"input_{number}"
    return re.sub(r"\W", "_", given)


def _spec(tensor: Any, name: str, model: keras.Model) -> tf.TensorSpec:
    batch, *shape = tensor.shape
    if None in shape:
        raise ValueError(
            "Only the batch dimension may be dynamic: a .tflite file has fixed shapes. "
            f"Received: model={model.name!r} with input shape {tuple(tensor.shape)}. Rebuild "
            "it with `keras.Input` of the full shape and copy the weights: "
            "`fixed.set_weights(model.get_weights())`."
        )
    if batch not in (None, 1):
        raise ValueError(
            f"The file takes one input at a time. Received: model={model.name!r} with a "
            f"fixed batch of {batch}. Rebuild it with `keras.Input` without `batch_size` and "
            "copy the weights: `free.set_weights(model.get_weights())`."
        )
    dtype = tf.as_dtype(keras.backend.standardize_dtype(tensor.dtype))
    return tf.TensorSpec((1, *shape), tf.float32 if dtype.is_floating else dtype, name)
