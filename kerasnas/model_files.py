"""The model that a search returns, as a file that Keras loads without this library."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from search_spaces.task import Task

__all__ = ["compiled", "load", "save"]

_LEARNING_RATE = 1e-4  # of training on, where a search has ended


def save(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write a model whole or not at all, without what Keras could not load elsewhere.

    Keras stores the loss in the file and looks for its class when it loads it. A model with
    a loss that is not of Keras, such as that of `Detection`, is therefore stored uncompiled.

    Args:
        model: The model; it stays as it is.
        path: Where to; its name ends in `.keras`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}")  # Keras goes by the suffix
    _loadable(model).save(temporary)
    os.replace(temporary, path)


def load(path: str | os.PathLike[str], task: Task | None = None) -> keras.Model:
    """Read a model back.

    Args:
        path: The file.
        task: What the model is for: it is compiled for that if it was stored uncompiled.
            `None` leaves it so.
    """
    model = keras.models.load_model(path)
    return model if task is None or model.compiled else compiled(model, task)


def compiled(model: keras.Model, task: Task) -> keras.Model:
    """The same model, compiled to be evaluated on a task or trained on gently."""
    model.compile(keras.optimizers.AdamW(_LEARNING_RATE), **task.compile_arguments())
    # Keras warns of a saved optimizer that was never used.
    model.optimizer.build(model.trainable_variables)
    return model


def _loadable(model: keras.Model) -> keras.Model:
    loss = getattr(model, "loss", None)
    if not isinstance(loss, keras.losses.Loss) or type(loss).__module__.startswith("keras."):
        return model
    plain = type(model).from_config(model.get_config())  # `clone_model` compiles as well
    plain.set_weights(model.get_weights())
    return plain
