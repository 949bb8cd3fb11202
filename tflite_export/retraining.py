"""Training what was made of a trained model, on the terms the model was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tflite_export.calibration import check_inputs

__all__ = ["batches", "check_compiled", "compile_like", "retrain"]

_SHUFFLED = 10_000
_SCORING_BATCH = 256
_LABEL_KEYS = ("label", "labels")


def retrain(
    model: keras.Model,
    original: keras.Model,
    train_data: Any,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    validation_data: Any,
    seed: int | None,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int,
) -> dict[str, list[float]]:
    """Train a model with the loss and the metrics of another, by Adam.

    The learning rate falls from epoch to epoch along a cosine, and ends near zero.

    Args:
        model: The model to train; it is compiled here.
        original: The compiled model that gives loss and metrics.
        train_data: As in `batches`.
        epochs: Passes over the data; 0 only compiles.
        learning_rate: Of the first epoch.
        batch_size: As in `batches`.
        validation_data: As `train_data`, to be judged on after each epoch; `None` for none.
        seed: Seeds the order of the examples.
        callbacks: Passed on to `fit`.
        verbose: Passed on to `fit`.

    Returns:
        The history: metrics by name, one number an epoch.
    """
    shape = tuple(original.input_shape[1:])
    compile_like(model, original, keras.optimizers.Adam(learning_rate))
    if not epochs:
        return {}

    def rate(epoch: int) -> float:
        return learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / epochs))

    judged = None
    if validation_data is not None:
        judged = batches(validation_data, shape, _SCORING_BATCH, None, "validation_data")
    history = model.fit(
        batches(train_data, shape, batch_size, seed),
        validation_data=judged,
        epochs=epochs,
        callbacks=[keras.callbacks.LearningRateScheduler(rate), *callbacks],
        verbose=verbose,
        shuffle=False,  # the data set shuffles
    )
    return {name: list(map(float, values)) for name, values in history.history.items()}


def check_compiled(model: keras.Model) -> None:
    """Refuse a model of which nobody said what it is trained for.

    Args:
        model: The model.

    Raises:
        ValueError: If it is not compiled with a loss.
        TypeError: If it is not a Keras model.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"model must be a Keras 3 model. Received: {type(model).__name__}. Load a saved "
            "one with `keras.models.load_model(path)`."
        )
    if getattr(model, "loss", None) is None:
        raise ValueError(
            "The model must be compiled with the loss it is to be trained by. Received: "
            f"model={model.name!r}, not compiled. Call e.g. `model.compile(loss=keras.losses."
            'SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])`.'
        )


def compile_like(
    model: keras.Model, original: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Compile a model with the loss and fresh copies of the metrics of another.

    Args:
        model: The model to compile.
        original: A compiled model.
        optimizer: What to train with.
    """
    given = original.get_compile_config() or {}
    copies = {
        name: keras.saving.deserialize_keras_object(given.get(name))
        for name in ("loss_weights", "metrics", "weighted_metrics")
    }
    model.compile(optimizer, loss=original.loss, **copies)


def batches(
    data: Any,
    shape: tuple[int, ...],
    batch_size: int,
    seed: int | None,
    name: str = "train_data",
) -> tf.data.Dataset:
    """Labelled data in any usual form as batches of `(x, y)` or `(x, y, weights)`.

    Args:
        data: A `tf.data.Dataset`, batched or not, or NumPy arrays; of `(x, y)`, `(x, y,
            weights)` or a TFDS dictionary such as `{"image": x, "label": y}`. Batched data
            sets are taken in their own order and batches, all else is shuffled.
        shape: Shape of one input, without the batch.
        batch_size: Examples a batch, of data that comes without batches.
        seed: Seeds the order; `None` keeps it.
        name: The caller's name for the data, for messages.

    Raises:
        ValueError: If the data is endless, empty or of another shape.
        TypeError: If it is of no such form.
    """
    if isinstance(data, tf.data.Dataset):
        dataset = data.map(lambda *element: _labelled(element, name))
        spec = dataset.element_spec[0].shape
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"{name} must have an end. Received: a data set that repeats for ever. Use "
                "`dataset.take(steps)` to say how many batches an epoch has."
            )
        batched = spec.rank == len(shape) + 1 or spec.rank is None
        received = tuple(spec[1:] if batched else spec) if spec.rank is not None else shape
        if not tf.TensorShape(received).is_compatible_with(shape):
            raise ValueError(
                f"{name} does not fit the model, which takes inputs of shape "
                f"{('n', *shape)}. Received: inputs of shape {tuple(spec)}. Pass the inputs "
                "the model was trained on."
            )
        if batched:
            return dataset.prefetch(tf.data.AUTOTUNE)
        count = _SHUFFLED
    else:
        arrays = tuple(np.asarray(part) for part in _labelled((data,), name))
        check_inputs(arrays[0], shape, name)
        dataset, count = tf.data.Dataset.from_tensor_slices(arrays), len(arrays[0])
    if seed is not None:
        dataset = dataset.shuffle(count, seed=seed, reshuffle_each_iteration=True)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _labelled(element: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """`(x, y)` or `(x, y, weights)` of what a data set yields, or of the arrays given."""
    parts: Any = element[0] if len(element) == 1 else element
    received = type(parts).__name__
    if isinstance(parts, Mapping):
        label = next((key for key in _LABEL_KEYS if key in parts), None)
        others = [key for key in parts if key not in _LABEL_KEYS]
        inputs = "image" if "image" in others else others[0] if len(others) == 1 else None
        if label is not None and inputs is not None:
            return parts[inputs], parts[label]
        received = f"a dictionary of {list(parts)}"
    elif isinstance(parts, tuple | list) and len(parts) in (2, 3):
        return tuple(parts)
    raise TypeError(
        f"{name} must be a tf.data.Dataset or arrays of (x, y), (x, y, weights) or "
        f'{{"image": x, "label": y}}. Received: {received}. Training needs labels; map the '
        "data to (x, y)."
    )
