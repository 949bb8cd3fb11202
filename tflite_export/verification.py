"""The file against the model it came from."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_devices.inputs import Inputs, by_name, count
from tflite_export.signature import arranged, input_specs

__all__ = [
    "Comparison",
    "Metric",
    "compare",
    "confidence_interval",
    "decision",
    "fitting",
    "most_likely",
    "predict",
    "scored",
]

Array = NDArray[Any]
Decide = Callable[[Array], Array]
Metric = Callable[[Any, Any], Any]
"""From labels and outputs, both `(n, ...)`, to a share of 1; larger is better."""

_BATCH = 256
_OF_QUANTITIES = ("squared", "absolute", "huber", "cosh", "mse", "mae", "mape", "msle")


@dataclass(frozen=True)
class Comparison:
    """How well a file's outputs match the model's.

    Attributes:
        agreement: Share of decisions (one an example, one a pixel, or one a label) that are
            the same. `None` if the outputs are quantities, not classes.
        accuracy_keras: Share of labels the model gets right; `None` without class labels.
        accuracy_tflite: Share of labels the file gets right; `None` without class labels.
        max_abs_error: Largest difference of an output, in the output's unit.
        mean_abs_error: Mean difference of an output.
        metric_keras: What the model is judged by: its score by the metric given, else its
            accuracy; `None` where there is neither.
        metric_tflite: The same of the file.
    """

    agreement: float | None
    accuracy_keras: float | None
    accuracy_tflite: float | None
    max_abs_error: float
    mean_abs_error: float
    metric_keras: float | None = None
    metric_tflite: float | None = None


def most_likely(outputs: Array) -> Array:
    """The class with the largest output, along the last axis."""
    classes: Array = outputs.argmax(axis=-1)
    return classes


def compare(
    expected: Array,
    actual: Array,
    labels: Array | None = None,
    decide: Decide | None = most_likely,
    metric: Metric | None = None,
) -> Comparison:
    """Compare two sets of outputs for the same inputs.

    Args:
        expected: The model's outputs, `(n, ...)`.
        actual: The file's outputs, of the same shape.
        labels: Class numbers, one-hot vectors, or a 0 or 1 for each of several labels. For
            accuracies, labels of any other kind are ignored; `metric` takes them as they are.
        decide: From outputs to class numbers. `None` if the outputs are quantities.
        metric: From labels and outputs to a share of 1, larger is better. `None` takes the
            accuracy.

    Returns:
        The comparison.
    """
    error = np.abs(expected.astype(np.float64) - actual)
    agreement = accuracy_keras = accuracy_tflite = None
    if decide is not None:
        wanted, got = decide(expected), decide(actual)
        agreement = float((wanted == got).mean())
        truth = _class_numbers(labels, wanted.shape, expected.shape)
        if truth is not None:
            counted = _counted(truth, expected.shape)
            accuracy_keras = float((wanted == truth)[counted].mean())
            accuracy_tflite = float((got == truth)[counted].mean())
    metric_keras, metric_tflite = accuracy_keras, accuracy_tflite
    if metric is not None and labels is not None:
        metric_keras = scored(metric, labels, expected)
        metric_tflite = scored(metric, labels, actual, worst=0.0)
    return Comparison(
        agreement,
        accuracy_keras,
        accuracy_tflite,
        float(error.max()),
        float(error.mean()),
        metric_keras,
        metric_tflite,
    )


def scored(metric: Metric, labels: Array, outputs: Array, worst: float | None = None) -> float:
    """The score of outputs.

    Args:
        metric: As in `compare`.
        labels: `(n, ...)`, as the data set has them.
        outputs: `(n, ...)`, real numbers.
        worst: What outputs count for which there is no finite score; `None` refuses them.

    Raises:
        ValueError: If the metric returns anything but a finite number.
    """
    score = metric(labels, outputs)
    number = float(score) if np.ndim(score) == 0 else math.nan
    if not math.isfinite(number):
        if worst is not None:
            return worst
        raise ValueError(
            "metric must return a finite number, a share of 1 of which more is better. "
            f"Received: {score!r:.80} for labels of shape {labels.shape} and outputs of "
            f"shape {outputs.shape}. Return a score such as the accuracy."
        )
    return number


def fitting(labels: Array, outputs: tuple[int, ...]) -> bool:
    """Whether labels are of a shape that goes with outputs: one each, or one each place."""
    shapes = (outputs, outputs[:-1], (*outputs[:-1], 1))
    return labels.shape in shapes


def confidence_interval(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Where the true share is, given the share found in a sample (Wilson's interval).

    Args:
        share: Share of the sample, 0 to 1.
        count: Size of the sample.
        z: How sure: 1.96 standard deviations are 95 %.

    Returns:
        Lower and upper end, within 0 and 1.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference",
        JASA 22, 1927.
    """
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = (
        z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def decision(
    model: keras.Model, shape: tuple[int, ...], labels: Array | None = None
) -> Decide | None:
    """How a model's outputs become classes, as far as its loss and last layer tell.

    Args:
        model: Compiled or not.
        shape: Shape of its outputs, with the batch.
        labels: Labels `(n, ...)` of any kind, where there are some: of several outputs and a
            binary loss they tell whether one class is right or any number of labels.

    Returns:
        A function from outputs to class numbers: the largest of several, or 1 where a single
        one is above one half (above zero for logits); so each one of several labels. `None`
        for a regression loss, and for a single output of which nothing is known.
    """
    losses = keras.tree.flatten(getattr(model, "loss", None))
    loss = losses[0] if len(losses) == 1 else None
    kind = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    if len(shape) == 1 or any(word in kind.lower() for word in _OF_QUANTITIES):
        return None
    half = 0.0 if getattr(loss, "from_logits", False) else 0.5
    if shape[-1] > 1:
        binary = "binary" in kind.lower()
        if binary and labels is not None and _independent(labels, shape):
            return functools.partial(_each_above, half)
        return most_likely
    if "crossentropy" in kind.lower():
        return functools.partial(_above, half)
    if getattr(model.layers[-1], "activation", None) is keras.activations.sigmoid:
        return functools.partial(_above, 0.5)
    return None


def predict(model: keras.Model, inputs: Inputs) -> Array:
    """The model's own outputs, computed without compiling a predict function.

    Args:
        model: A model of one output.
        inputs: `(n, ...)`, numbers of any type; of several inputs by name.

    Returns:
        Outputs `(n, ...)` in float32.
    """
    types = {name: spec.dtype.name for name, spec in input_specs(model).items()}
    given = by_name(inputs, types)
    batches = (
        {name: array[i : i + _BATCH].astype(types[name]) for name, array in given.items()}
        for i in range(0, count(inputs), _BATCH)
    )
    outputs = (
        keras.tree.flatten(model(arranged(model, batch), training=False))[0]
        for batch in batches
    )
    return np.concatenate(
        [keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in outputs]
    )


def _above(threshold: float, outputs: Array) -> Array:
    return (outputs[..., 0] > threshold).astype(int)


def _each_above(threshold: float, outputs: Array) -> Array:
    return (outputs > threshold).astype(int)


def _independent(labels: Array, outputs: tuple[int, ...]) -> bool:
    """Whether labels are zeros and ones, any number of ones for an example."""
    if labels.shape != outputs or labels.dtype.kind not in "buif":
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=-1) != 1).any())


def _counted(truth: Array, outputs: tuple[int, ...]) -> Array:
    """Which answers count: of many an example all but those whose label is no class.

    Pixels that belong to nothing and the padding of sequences have such labels.
    """
    if truth.ndim == 1 or truth.shape == outputs:
        return np.ones(truth.shape, bool)
    counted: Array = (truth >= 0) & (truth < outputs[-1])
    return counted if counted.any() else ~counted


def _class_numbers(
    labels: Array | None, classes: tuple[int, ...], outputs: tuple[int, ...]
) -> Array | None:
    if labels is None or labels.dtype.kind not in "buif":
        return None
    if labels.shape == classes == outputs and outputs[-1] > 1:
        return labels.astype(int) if np.isin(labels, (0, 1)).all() else None
    if labels.shape == outputs and outputs[-1] > 1:
        one_hot = np.allclose(labels.sum(axis=-1), 1) and labels.min() >= 0
        return labels.argmax(axis=-1) if one_hot else None
    if labels.shape == (*classes, 1):
        labels = labels[..., 0]
    if labels.shape == classes and (labels == np.round(labels)).all():
        return labels.astype(int)
    return None
